"""The structure of a spec file: which keys stand where. What the settings mean is checked elsewhere."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from study.costs.budget import Budget
from study.spec.sections import RESERVED, sections
from study.spec.values import Bytes, Fuse, Gpus, Names, Numbers, Scheduler
from trainables.parts import Config


class UntilSettled(Config):
    """Seeds are added until the claims are settled, or there are no more."""

    first: int = Field(5, ge=2)
    """Seeds before claims are tested for the first time."""
    every: int = Field(5, ge=1)
    """Seeds from one look to the next."""
    alpha: float = Field(0.05, gt=0, lt=1)
    """Chance that any claim without a true difference is settled as one, over all looks."""
    spending: Literal["pocock", "obrien_fleming"] = "pocock"
    """How looks share it: pocock about evenly; obrien_fleming keeps almost all of it for the last ones."""
    negligible: float | None = Field(None, gt=0)
    """A difference that does not matter, as a fraction (0.005 is half a point): a claim whose interval lies within is
    settled as equal."""


class Replicates(Config):
    """How often a cell is trained."""

    seeds: Numbers = (0,)
    """A count n (seeds 0 to n-1) or a list of seeds."""
    folds: Numbers = (0,)
    """A count n (folds 0 to n-1, and n validation folds unless protocol says otherwise) or a list of folds."""
    until_settled: UntilSettled | None = None
    """Train fewer seeds where they settle the claims of the study."""


class Resources(Config):
    """What one trial occupies."""

    cpu: float = Field(1.0, gt=0)
    """CPU cores."""
    gpu: Gpus = 0.0
    """GPUs; a fraction shares one, and `auto` finds the fraction that fits. Above 0 the run trains on a GPU."""
    gpu_memory: Bytes | None = None
    """GPU memory of one training, its CUDA context included, in bytes or as 10GiB: the fraction for `gpu: auto`, which
    it implies. Where it is empty, `auto` measures it in a short probe before the first run."""
    memory: Bytes | None = None
    """Main memory, in bytes or as 4GB."""
    fuse: Fuse = "auto"
    """How many runs that differ in numbers alone (seeds, rates, scales, margins, mixup_alpha) train together as one
    network: at most so many, or `off`. `auto`: up to 64 on a GPU, none on a CPU. Their last digits change."""

    @model_validator(mode="before")
    @classmethod
    def _implied_auto(cls, data: Any) -> Any:
        """Later layers win: a number of GPUs in one makes the memory in an earlier one idle."""
        if not isinstance(data, dict) or data.get("gpu_memory") is None:
            return data
        if data.get("gpu", "auto") != "auto":
            raise ValueError("has a number for gpu and gpu_memory; with gpu_memory, gpu is auto: leave one of them out")
        return {**data, "gpu": "auto"}

    def refused_threads(self, threads: int) -> str | None:
        """Why a training must not have so many threads: sharing a core makes all of them many times slower."""
        if threads <= max(1.0, self.cpu):
            return None
        return f"training.threads is {threads} and resources.cpu {self.cpu:g}; set resources.cpu: {threads} too"

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What the run trains on."""
        return "cpu" if self.gpu == 0 else "cuda"

    @property
    def gpus(self) -> float:
        """GPUs that the run takes, at most: a whole one where the share is not found yet."""
        return self.gpu if isinstance(self.gpu, float) else 1.0

    @property
    def shares_gpu(self) -> bool:
        """Whether several runs may be on one GPU."""
        return self.gpu == "auto" or 0 < self.gpus < 1


class ReplicatePruning(Config):
    """When a setting trains no further replicates: it is clearly worse than the best one on equal seeds and folds."""

    p: float = Field(0.1, gt=0, lt=0.5)
    """A setting ends where a one-sided Wilcoxon signed-rank test against the best setting falls below this; 0.1 takes
    at least 4 replicates, 0.05 takes 5, and a setting needs more of them for any to be saved."""
    batch: int = Field(1, ge=1)
    """Replicates between two tests; they train side by side."""


Cost = Literal["train_seconds", "steps", "embedding_dim"]


class TuneStage(Config):
    """How each method's search space is searched, on validation classes only."""

    sampler: Literal["tpe", "random", "gp", "cmaes", "qmc"] = "tpe"
    trials: int = Field(50, ge=1)
    """Settings per method and dataset."""
    seeds: Numbers = (100,)
    """Seeds of every setting; its value is their mean. Disjoint from the seeds of the confirm stage."""
    scheduler: Scheduler = "none"
    """Whether the runs of poor settings stop early. halving: after 1/4 and 1/2 of the epochs those go on that are among
    the better half; asha: after 1/16 and 1/4, among the best quarter. A run is compared at that epoch's evaluation, by
    `protocol.select_by`, with the runs of its seed and fold in settings 0 to n - window that came as far, once there
    are 4 of them, and never within a warm-up. A setting of which a run stopped is never chosen.
    `{ray: asha}`, `{ray: median}`, `{ray: hyperband}`: Ray Tune decides, by when runs of a seed and fold report: what
    stops, and so what is proposed and chosen, cannot be repeated."""
    prune_replicates: ReplicatePruning | None = None
    """`{p: 0.1}`: settings that are clearly worse than the best of the settings 0 to n - window skip the rest of their
    replicates, and are never chosen."""
    cost: Cost | None = None
    """A second objective beside `protocol.select_by`, smaller is better: tpe and gp then look for the best trade-offs
    between the two. train_seconds: mean over the runs of a setting, as they are recorded; other machines, and other
    trainings on the same one, take other times. steps of the optimiser and embedding_dim are the same everywhere."""
    tolerance: float = Field(0.0, ge=0)
    """With a cost, the cheapest setting is chosen that is at most so much worse than the best one, in the metric's own
    unit: 0.01 is one percentage point. 0: the best one, of equals the cheapest."""
    window: int = Field(8, ge=1)
    """Settings in flight; part of the spec, so that suggestions do not depend on the cluster."""
    seed: int = Field(0, ge=0)
    """Of the sampler: another seed is another search."""


class ConfirmStage(Config):
    """How the best settings are trained again for the tables."""

    seeds: Numbers | None = None
    """The same as replicates.seeds."""
    refit: bool | None = None
    """The same as protocol.refit."""


class Stages(Config):
    """tune: choose hyperparameters on validation classes; confirm: new seeds, test classes."""

    tune: TuneStage | None = None
    confirm: ConfirmStage | None = None


class RuleFile(Config):
    """Settings for the cells that fit a condition."""

    when: dict[str, Any] = Field(min_length=1)
    """Keys with a value or a list of values: dataset, method, a compared axis, or any setting."""
    set: dict[str, Any] = Field(min_length=1)
    """Settings, nested or dotted."""


class MethodFile(Config):
    """A named recipe; besides these keys it may have every section of a run (loss, synthesis, optimizer, ...)."""

    extends: str | None = None
    """Another method whose settings, search space and resources are the start of this one."""
    baseline: str | None = None
    """The method that tables compare this one with."""
    label: str | None = Field(None, pattern=r"\S")
    """What tables call it, in place of its name."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings, nested or dotted."""
    tune: dict[str, Any] = Field(default_factory=dict)
    """Search space: dotted keys with a list of choices or a distribution."""
    resources: Resources = Field(default_factory=Resources)


class SpecFile(Config):
    """One study: what is compared, how hyperparameters are chosen, how often it is repeated."""

    study: str | None = Field(None, pattern=r"^[\w][\w .+-]*$", max_length=100)
    """Name of the study and of its results folder."""
    extends: Names = ()
    """Presets or files that this one starts from; what stands here wins."""
    description: str = ""
    datasets: dict[str, Any] = Field(default_factory=dict)
    """Datasets with a name of their own, for settings.dataset and compare.dataset."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """What all methods share, nested or dotted (`training.epochs: 20`)."""
    methods: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    """Recipes by name; null takes an inherited one away."""
    compare: dict[str, Any] = Field(default_factory=dict)
    """Axes: a list of values for each key, crossed with every method that has the parameter."""
    rules: list[RuleFile] = Field(default_factory=list)
    """Settings for some cells, in order; later ones win."""
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    """Conditions of cells that are left out."""
    replicates: Replicates = Field(default_factory=Replicates)
    protocol: dict[str, Any] = Field(default_factory=dict)
    """The same as settings.protocol."""
    keep: dict[str, Any] = Field(default_factory=dict)
    """The same as settings.keep."""
    resources: Resources = Field(default_factory=Resources)
    stages: Stages = Field(default_factory=Stages)
    claims: list[str] = Field(default_factory=list)
    """'A > B on map_at_r': the only comparisons that are tested for significance."""
    budget: Budget = Field(default_factory=Budget)
    untrained: bool = True
    """Whether tables start with the embedding as it is before training."""

    hints: ClassVar[dict[str, str]] = {
        **{name: f"write it under settings: `settings: {{{name}: ...}}`" for name in sections()},
        **RESERVED,
        "seeds": "write replicates.seeds",
        "folds": "write replicates.folds",
        "tune": "write it in a method (a search space) or under stages (how to search)",
        "confirm": "write stages.confirm",
    }
