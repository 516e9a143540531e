"""Replicates until claims are settled: seeds are trained in groups, and after each group the claims are tested.

Every such look costs a part of the error that the spec allows, so that looking often does not make chance findings
likely. Free of ray and torch; scipy is imported where a claim is tested.
"""

from study.settling.evidence import Evidence, LedgerEvidence, NoEvidence, forget_looks
from study.settling.settle import Settling, settled

__all__ = ["Evidence", "LedgerEvidence", "NoEvidence", "Settling", "forget_looks", "settled"]
