"""Configuration of the schedules. A new one: one class, one function that `implementation` names, one line."""

from typing import ClassVar, Literal

from pydantic import Field

from trainables.parts import Part, registered


class ScheduleConfig(Part):
    """How the learning rates go over the epochs.

    `implementation` names a function `f(config, *, epoch, epochs, steps)` that returns a factor on every rate: of the
    epoch (from 0), the run's number of epochs, and the steps before this one over all epochs.
    """


class Constant(ScheduleConfig):
    """The learning rate as it is."""

    name: Literal["constant"] = "constant"
    implementation: ClassVar[str] = "trainables.training.schedules:constant"


class Step(ScheduleConfig):
    """Multiplied by gamma after every `every` epochs, as the Proxy Anchor code does.

    The Proxy Synthesis and MemVir code drops the rate at the start of epoch `every`: after one epoch less.
    """

    name: Literal["step"] = "step"
    every: int = Field(10, ge=1)
    gamma: float = Field(0.5, gt=0, le=1)
    until: int | None = Field(None, ge=1)
    """Last epoch at which the rate drops; no limit where empty."""
    implementation: ClassVar[str] = "trainables.training.schedules:step"


class Cosine(ScheduleConfig):
    """From the full rate to 0 over the run's epochs."""

    name: Literal["cosine"] = "cosine"
    implementation: ClassVar[str] = "trainables.training.schedules:cosine"


class InverseTime(ScheduleConfig):
    """Divided by 1 + decay * t after t optimisation steps, counted over all epochs, as the log-ratio code does."""

    name: Literal["inverse_time"] = "inverse_time"
    decay: float = Field(1e-4, ge=0)
    """Per step; 1e-4 in the published runs, whose rate ends at 1/38."""
    implementation: ClassVar[str] = "trainables.training.schedules:inverse_time"


SCHEDULES = registered(Constant, Step, Cosine, InverseTime, base=ScheduleConfig, group="dml_study.schedules")
