"""Configuration of the syntheses. A new synthesis: one class, one class that `implementation` names, one line."""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trainables.parts import Part, added, at_defaults


class SynthesisConfig(Part):
    """What enlarges (embeddings, labels, classes) before the base loss sees them."""

    needs_proxies: ClassVar[bool] = False

    @property
    def fuses(self) -> bool:
        """Whether runs with it can train together (`trainables.fused`)."""
        return False

    def refusal(self, run: Any) -> str | None:
        """Syntheses of classes need classes to start from."""
        if self.needs_proxies and not run.loss.has_proxies:
            return (
                f"synthesis '{self.name}' works on proxies and loss '{run.loss.name}' has none; take a loss with "
                "proxies (norm_softmax, proxy_anchor, ...), or synthesis xbm for pair losses"
            )
        return None

    @property
    def grace_epochs(self) -> int:
        """Epochs before which nobody may judge a run by its curve (a queue that fills, a warm-up)."""
        return 0

    def grace_epochs_at(self, steps_per_epoch: int) -> int:
        """The same where the length of an epoch is known, which the time to fill a queue depends on."""
        return self.grace_epochs


class NoSynthesis(SynthesisConfig):
    """The base loss alone."""

    name: Literal["none"] = "none"
    implementation: ClassVar[str] = "trainables.synthesis.base:Synthesis"

    @property
    def fuses(self) -> bool:
        return True


class ProxySynthesis(SynthesisConfig):
    """Proxy Synthesis (AAAI 2021): mixed pairs of samples and of their proxies are additional classes of the step."""

    name: Literal["proxy_synthesis"] = "proxy_synthesis"
    ratio: float = Field(1.0, ge=0)
    """Synthetic rows per real row, mu. 0 is the base loss; above 1 every sample is paired more than once."""
    mixup_alpha: float = Field(0.4, gt=0)
    """Both parameters of the Beta distribution that the mixing weight of a step is drawn from."""
    compat: Literal["none", "official"] = "none"
    """`official` repeats the released code, its faults included (see `trainables.synthesis.proxy_synthesis`)."""
    mixing: Literal["batch", "pair"] = added("batch", legacy="batch")
    """One mixing weight for the whole batch, as published, or one for every pair (every synthetic class)."""
    pairing: Literal["roll", "permutation", "nearest_proxy"] = added("roll", legacy="roll")
    """A sample's partner: the one before it, as published; one of a random permutation; or the sample of another class
    whose proxy is nearest to its own class's."""
    synthetic_classes: Literal["class_pair", "pair"] = added("class_pair", legacy="class_pair")
    """One synthetic class for every ordered pair of classes, or one for every pair of samples, as published: two of
    the latter can have the same proxy."""
    synthesize: Literal["both", "proxies", "embeddings"] = added("both", legacy="both")
    """both: samples and classes, as published; proxies: classes without samples, negatives for the real ones;
    embeddings: samples without classes, each labelled by the parent with the larger weight."""
    needs_proxies: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.synthesis.proxy_synthesis:ProxySynthesis"

    @model_validator(mode="after")
    def _official_has_no_variants(self) -> Self:
        chosen = [key for key in _VARIANTS if getattr(self, key) != type(self).model_fields[key].default]
        if self.compat == "official" and chosen:
            raise ValueError(
                f"compat 'official' repeats the released code, which has no {' and no '.join(chosen)}: leave them out, "
                "or take compat 'none'"
            )
        return self

    @property
    def fuses(self) -> bool:
        """Partners by proxies follow the training; all others are known before it."""
        return self.pairing != "nearest_proxy"

    def simplified(self) -> SynthesisConfig:
        if self.ratio == 0:
            return NoSynthesis()
        return at_defaults(self, "synthetic_classes") if self.synthesize == "embeddings" else self


_VARIANTS = ("mixing", "pairing", "synthetic_classes", "synthesize")
"""Fields of `ProxySynthesis` that depart from the published method."""
