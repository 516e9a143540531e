"""Limits of what a study may cost."""

from pydantic import Field

from trainables.parts import Config


class Budget(Config):
    """Where a study stops starting runs."""

    gpu_hours: float | None = Field(None, gt=0)
    wall_hours: float | None = Field(None, gt=0)
    runs: int | None = Field(None, ge=1)
