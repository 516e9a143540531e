"""Configuration of L2A: generated novel classes. Free of torch: planning imports it."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from trainables.parts import at_defaults
from trainables.synthesis.config import NoSynthesis, SynthesisConfig


class L2A(SynthesisConfig):
    """Novel classes with embeddings from a conditional generator, after "Learning to Generate Novel Classes for Deep
    Metric Learning" (BMVC 2021, arXiv 2201.01008).

    A reconstruction from the paper's abstract, not the authors' code, of which none was found. A
    generator makes embeddings of a class from noise; a critic asks for realistic ones; further terms ask for the right
    class, for novel classes away from all others, and for different embeddings within a class. Every term has a weight,
    and at 0 it is gone. All values are defaults of this package; none is the paper's.
    """

    name: Literal["l2a"] = "l2a"
    generate: Literal["novel", "seen", "both"] = "novel"
    """Classes that the generated rows of a step belong to; with `seen` there are no novel classes at all."""
    novel_ratio: float = Field(1.0, gt=0)
    """Novel classes per training class, M / C; at least one class."""
    ratio: float = Field(0.5, ge=0)
    """Generated rows per real row. At 0 the novel classes still are in the denominators of real rows."""
    samples_per_class: int = Field(2, ge=1)
    """Generated rows of each class that is drawn for a step."""
    reduction: Literal["mean_all", "separate"] = "mean_all"
    """One loss over real and generated rows, or the loss of the real ones plus `generated_weight` times the others'."""
    generated_weight: float = Field(1.0, ge=0)
    """Weight of the generated rows where the reduction is `separate`."""
    novel_proxies: Literal["trained", "fixed"] = "trained"
    """Whether the run's loss moves the novel proxies too; the generator's optimiser moves them in any case."""

    warmup_epochs: int = Field(1, ge=0)
    """First epochs, with the base loss alone; then the generator is trained for the first time."""
    refresh: Literal["step", "epoch", "never"] = "epoch"
    """When the generator is trained again: a generator step with each step of the run, some epochs apart, or never."""
    refresh_every: int = Field(1, ge=1)
    """Epochs between two trainings of the generator where the refresh is `epoch`."""
    generator_steps: int = Field(200, ge=1)
    """Generator steps of each of its trainings at the start of an epoch; the first one is always such."""
    generator_batch_size: int = Field(128, ge=2)
    """Generated rows of a generator step, and real rows of a critic step."""
    generator_lr: float = Field(1e-4, gt=0)
    """Learning rate of generator, novel proxies and critic (Adam, betas 0 and 0.9)."""
    noise_dim: int = Field(64, ge=1)
    condition_dim: int = Field(64, ge=1)
    """Width of the learned vector by which a class steers the generator."""
    generator_width: int = Field(512, ge=1)
    generator_depth: int = Field(2, ge=1)
    """Hidden layers."""
    critic_width: int = Field(512, ge=1)
    critic_depth: int = Field(2, ge=1)
    """Hidden layers."""

    critic_weight: float = Field(1.0, ge=0)
    """Realism: generated rows should score like real ones. At 0 there is no critic."""
    critic_steps: int = Field(5, ge=1)
    """Critic steps before each generator step."""
    gradient_penalty: float = Field(10.0, ge=0)
    """Keeps the slope of the critic near 1."""
    class_weight: float = Field(1.0, ge=0)
    """The base loss itself on generated rows: they belong to their class."""
    divergence_weight: float = Field(0.1, ge=0)
    """Novel proxies away from the proxies of all other classes; takes M (C + M) cosines in each generator step."""
    divergence_sharpness: float = Field(16.0, gt=0)
    """Large: only the nearest other proxy counts."""
    diversity_weight: float = Field(0.1, ge=0)
    """Two embeddings of one class should differ as their noise does (mode seeking)."""
    diversity_clip: float = Field(0.05, gt=0)
    """Distance of embeddings per distance of noise from which on more is no better: with a noise_dim of 64, whose
    vectors are about 11 apart, 0.05 is a distance of 0.57 on the unit sphere."""

    needs_proxies: ClassVar[bool] = True
    implementation: ClassVar[str] = "trainables.synthesis.l2a:L2A"

    @property
    def grace_epochs(self) -> int:
        """The warm-up, and one epoch with generated classes."""
        return self.warmup_epochs + 1

    def novel_classes(self, num_classes: int) -> int:
        """M, novel classes beside `num_classes` seen ones."""
        return 0 if self.generate == "seen" else max(1, round(self.novel_ratio * num_classes))

    def generated_rows(self, batch_size: int) -> int:
        """Generated rows of a step with `batch_size` real ones; halves are rounded up."""
        return int(self.ratio * batch_size + 0.5)

    def term_weights(self) -> dict[str, float]:
        """Weights of the generator's terms; without novel classes there is no divergence."""
        return {
            "critic": self.critic_weight,
            "class": self.class_weight,
            "divergence": self.divergence_weight if self.generate != "seen" else 0.0,
            "diversity": self.diversity_weight,
        }

    def refusal(self, run: Any) -> str | None:
        """A loss without proxies; a run that ends with the warm-up; batches too small for one generated row."""
        if refusal := super().refusal(run):
            return refusal
        training = run.training
        if self.warmup_epochs >= training.epochs:
            return (
                f"synthesis.warmup_epochs {self.warmup_epochs} leaves l2a no epoch of training.epochs "
                f"{training.epochs}; at most {training.epochs - 1} is possible"
            )
        if self.ratio and not self.generated_rows(training.batch_size):
            return (
                f"synthesis.ratio {self.ratio:g} is no row of training.batch_size {training.batch_size}; take 0, or at "
                f"least {0.5 / training.batch_size:g}"
            )
        return None

    def simplified(self) -> SynthesisConfig:
        """The same synthesis without parameters that cannot matter."""
        rows = 0.0 if self.reduction == "separate" and not self.generated_weight else self.ratio
        if self.generate == "seen" and not rows:
            return NoSynthesis()
        return at_defaults(self.model_copy(update={"ratio": rows}) if rows != self.ratio else self, *self._idle(rows))

    def rehearsed(self) -> SynthesisConfig:
        return self.model_copy(update={"warmup_epochs": 0, "generator_steps": 2})

    def _idle(self, rows: float) -> set[str]:
        """Fields without effect, at a ratio of `rows`."""
        novel = self.generate != "seen"
        critic = ("critic_steps", "gradient_penalty", "critic_width", "critic_depth")
        training = ("refresh", "generator_steps", "generator_batch_size", "generator_lr")
        trained = any(self.term_weights().values())
        idle = {
            "novel_ratio": novel,
            "novel_proxies": novel,
            "divergence_weight": novel,
            "divergence_sharpness": novel and self.divergence_weight,
            "diversity_clip": self.diversity_weight,
            "samples_per_class": rows,
            "reduction": rows,
            "generated_weight": rows and self.reduction == "separate",
            "refresh_every": trained and self.refresh == "epoch",
            **dict.fromkeys(critic, self.critic_weight),
            **dict.fromkeys(training, trained),
        }
        return {field for field, matters in idle.items() if not matters}
