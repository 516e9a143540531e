"""Results folders, opened: their tables as data frames, read when they are first asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from analysis.loading.convergence import add_convergence
from analysis.loading.evaluations import add_evaluations
from analysis.loading.replicates import plan_frame
from analysis.loading.widening import add_config, frame
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger
from trainables.ledger.names import Table
from trainables.ledger.places import Place, is_address, resolved

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def load(paths: str | Path | Iterable[str | Path]) -> "Results":
    """Opens one results folder, or several to be read together. Works while the study is still running.

    Args:
        paths: folders, or addresses in an object store: "s3://bucket/folder".

    Raises:
        DmlStudyError: a folder does not exist, holds no results, has no plan yet, or no run of any is finished.
    """
    folders = [_shown(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not folders:
        raise DmlStudyError("no results folder was given")
    ledgers = [Ledger.open(folder) for folder in folders]
    plans = [ledger.read_plan() for ledger in ledgers]
    if not any(ledger.commits() for ledger in ledgers):
        listed = ", ".join(f"'{folder}'" for folder in folders)
        raise DmlStudyError(f"{listed}: no run is finished yet; `dml-study run` starts or continues the study")
    studies = _distinct([plan["study"] for plan in plans], folders)
    return Results(tuple(Source(*parts) for parts in zip(studies, ledgers, plans, strict=True)))


def _shown(path: Place) -> Place:
    return path if is_address(path) else Path(path)


def _distinct(studies: Sequence[str], folders: Sequence[Place]) -> list[str]:
    paths = [str(resolved(folder)) for folder in folders]
    if len(set(paths)) < len(paths):
        raise DmlStudyError(f"a results folder was given twice: {', '.join(paths)}")
    if len(set(studies)) == len(studies):
        return list(studies)
    return [f"{study} ({folder})" for study, folder in zip(studies, folders, strict=True)]


class Readable(Protocol):
    """What is asked of a ledger."""

    def read(self, table: Table) -> "pa.Table":
        """The rows of a table as they count."""


@dataclass(frozen=True)
class Source:
    """One results folder: the study's name, its ledger and its current plan."""

    study: str
    ledger: Readable
    plan: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The rows of one or several studies. Each table is read when it is first asked for."""

    sources: tuple[Source, ...]

    def __repr__(self) -> str:
        """Per study: methods, datasets, compared parameters, and how many of the planned runs are complete."""
        return f"Results({'; '.join(map(self._told, self.sources))})"

    def _told(self, source: Source) -> str:
        rows = self.replicates[self.replicates["study"] == source.study]
        axes = [axis for axis in source.plan["axes"] if axis != "dataset"]
        runs = rows.drop_duplicates("run_id")["status"]
        known = [
            f"methods {', '.join(dict.fromkeys(rows['method']))}",
            f"datasets {', '.join(dict.fromkeys(rows['dataset']))}",
            f"compared {', '.join(axes)}" if axes else "",
            f"{(runs == 'complete').sum()} of {len(runs)} runs complete",
        ]
        return f"{source.study}: {'; '.join(filter(None, known))}"

    @property
    def plan(self) -> dict[str, Any]:
        """The plan of the only study.

        Raises:
            DmlStudyError: several studies are loaded; see `plans`.
        """
        if len(self.sources) > 1:
            raise DmlStudyError(f"{len(self.sources)} studies are loaded: use .plans[study]")
        return self.sources[0].plan

    @property
    def plans(self) -> dict[str, dict[str, Any]]:
        """The plan of each study, by its name."""
        return {source.study: source.plan for source in self.sources}

    @property
    def axes(self) -> list[str]:
        """Compared parameters of all studies, in the order of the plans; "dataset" is left out."""
        axes = [axis for source in self.sources for axis in source.plan["axes"]]
        return [axis for axis in dict.fromkeys(axes) if axis != "dataset"]

    @cached_property
    def runs(self) -> "pd.DataFrame":
        """One row per committed run, with `study`, `method` (the first of the plan that uses it; empty where none
        does any more), metrics as fractions (those that `dml-study evaluate` added too), and every scalar of its
        configuration ("synthesis.ratio")."""
        used = self._planned.drop_duplicates(["study", "run_id"])[["study", "run_id", "method"]]
        runs = self._runs.merge(used, on=["study", "run_id"], how="left", validate="one_to_one")
        return add_config(runs)

    @cached_property
    def epochs(self) -> "pd.DataFrame":
        """One row per epoch of every committed run, with `study`; metrics are fractions."""
        return self._read("epochs")

    @cached_property
    def classes(self) -> "pd.DataFrame":
        """One row per test class of every committed run, at the selected epoch, with `study`; metrics are fractions."""
        return self._read("classes")

    @cached_property
    def replicates(self) -> "pd.DataFrame":
        """One row per cell and replicate of the plans: study, method, cell (its index in the plan), dataset, compared
        parameters, seed, fold, run_id, status ("missing" where no run is committed), and the run's own columns."""
        planned = self._planned
        runs = self._runs.drop(columns=["seed", "fold", "dataset", "config", *self.axes], errors="ignore")
        joined = planned.merge(runs, on=["study", "run_id"], how="left", validate="many_to_one")
        return joined.assign(status=joined["status"].fillna("missing"))

    @cached_property
    def _planned(self) -> "pd.DataFrame":
        import pandas as pd

        datasets = self._runs[["study", "run_id", "dataset"]]
        frames = [plan_frame(source.study, source.plan, self.axes, datasets) for source in self.sources]
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def _runs(self) -> "pd.DataFrame":
        stored = {each.study: each.ledger for each in self.sources if isinstance(each.ledger, Ledger)}
        return add_convergence(add_evaluations(self._read("runs"), stored))

    def _read(self, table: Table) -> "pd.DataFrame":
        import pandas as pd

        frames = [self._with_study(source.study, frame(source.ledger.read(table))) for source in self.sources]
        filled = [rows for rows in frames if len(rows)] or frames[:1]
        return pd.concat(filled, ignore_index=True)

    @staticmethod
    def _with_study(study: str, rows: "pd.DataFrame") -> "pd.DataFrame":
        rows = rows.drop(columns="study", errors="ignore")
        rows.insert(0, "study", study)
        return rows
