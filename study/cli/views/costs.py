"""Costs on a terminal."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study.wording import format_seconds

if TYPE_CHECKING:
    from study.costs import Costs
    from study.plan import PlannedRun
    from trainables.ledger import Ledger


def cost_lines(costs: "Costs") -> list[str]:
    """What a study has cost so far, and its budget; nothing where nothing is known."""
    from study.costs import spent

    past = spent(costs.ended)
    lines = [f"cost so far: {past.text()}"] if past.runs else []
    limits = past.against(costs.budget)
    return [*lines, f"budget: {', '.join(limits)}"] if limits else lines


def time_left(costs: "Costs", waiting: Mapping[str, float], *, at_once: int) -> str:
    """How long unfinished runs will take; empty where nothing is known.

    Args:
        waiting: unfinished runs, each with the share of its epochs that is trained.
        at_once: how many are trained at a time; 0 where nothing is at work.
    """
    from study.costs import remaining

    seconds, unknown = remaining(waiting, costs)
    if len(waiting) == unknown:
        return ""
    rest = f", and {unknown} runs of unknown length" if unknown else ""
    if not at_once:
        return f"left: about {format_seconds(seconds)} of training{rest}"
    return f"left: about {format_seconds(seconds / at_once)} with {at_once} at a time{rest}"


def estimate_lines(runs: "Sequence[PlannedRun]", ledger: "Ledger | None") -> list[str]:
    """What due runs will take, all together and on this machine, for each kind of resources."""
    from study.costs import Costs, estimates, read_costs

    found = estimates(runs, read_costs(ledger) if ledger else Costs())
    known = sum(each.runs - each.unknown for each in found)
    if not known:
        return ["cost: unknown until a run of each kind has ended"] if runs else []
    cpus, gpus = _machine()
    lines = []
    for each in found:
        gpu = "a share of a GPU" if each.resources.gpu == "auto" else f"{each.resources.gpus:g} GPU"
        need = f"{each.resources.cpu:g} CPU" + (f" + {gpu}" if each.resources.gpus else "")
        at_once = each.at_once(cpus=cpus, gpus=gpus)
        here = f"about {format_seconds(each.seconds / at_once)} here, {at_once} at a time" if at_once else "not here"
        unknown = f" (and {each.unknown} runs of unknown length)" if each.unknown else ""
        count = each.runs - each.unknown
        lines.append(f"cost: {count} runs of {need}: {format_seconds(each.seconds)} of training, {here}{unknown}")
    return lines


def _machine() -> tuple[float, float]:
    """CPU cores and GPUs, looked up without torch."""
    from study.launch.cluster import cpu_cores

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    chosen = gpus if visible is None else len([name for name in visible.split(",") if name.strip() not in ("", "-1")])
    return cpu_cores(), min(gpus, chosen)
