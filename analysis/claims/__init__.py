"""Claims, "A > B on metric": every comparison tested, corrected for their number, and told in plain words."""

from analysis.claims.checking import check_claims
from analysis.claims.model import ClaimReport, Tested
from analysis.claims.pairs import Claim
from analysis.claims.rendering import FORMATS, render_claims
from analysis.claims.starring import ClaimStars, claim_stars, star_note, stars

__all__ = [
    "FORMATS",
    "Claim",
    "ClaimReport",
    "ClaimStars",
    "Tested",
    "check_claims",
    "claim_stars",
    "render_claims",
    "star_note",
    "stars",
]
