"""Configuration of the syntheses. A new synthesis: one class here, one class that `implementation` names, one line."""

from typing import ClassVar, Literal

from pydantic import Field

from trainables.parts import Part, registered


class SynthesisConfig(Part):
    """What enlarges (embeddings, labels, classes) before the base loss sees them."""

    needs_proxies: ClassVar[bool] = False

    @property
    def grace_epochs(self) -> int:
        """Epochs before which nobody may judge a run by its curve (a queue that fills, a warm-up)."""
        return 0


class NoSynthesis(SynthesisConfig):
    """The base loss alone."""

    name: Literal["none"] = "none"
    implementation: ClassVar[str] = "trainables.synthesis.none:NoSynthesis"


class ProxySynthesis(SynthesisConfig):
    """Proxy Synthesis (AAAI 2021): mixed pairs of samples and of their proxies are additional classes of the step."""

    name: Literal["proxy_synthesis"] = "proxy_synthesis"
    ratio: float = Field(1.0, ge=0)
    """Synthetic rows per real row, mu. 0 is the base loss; above 1 every sample is paired more than once."""
    mixup_alpha: float = Field(0.4, gt=0)
    """Both parameters of the Beta distribution that the mixing weight of a step is drawn from."""
    compat: Literal["none", "official"] = "none"
    """`official` repeats the released code, its faults included (see `trainables.synthesis.proxy_synthesis`)."""
    needs_proxies: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.synthesis.proxy_synthesis:ProxySynthesis"

    def simplified(self) -> SynthesisConfig:
        return NoSynthesis() if self.ratio == 0 else self


SYNTHESES: dict[str, type[Part]] = registered(NoSynthesis, ProxySynthesis)
