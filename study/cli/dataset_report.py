"""What `datasets verify` prints: counts of each split, what is not there, what cannot be read, what occurs twice."""

from collections.abc import Sequence

import typer

from study.cli.common import console_out
from trainables.datasets.inspection import Inspection, Repeated, SplitCounts

__all__ = ["report"]

_SHOWN = 20


def report(found: Inspection) -> None:
    """Counts and repeated images go to standard output, faults to standard error."""
    _print_counts(found)
    if found.resolved is not None:
        typer.echo(f"revision {found.resolved.revision}")
    _print_repeated(found.repeated)
    _print_faults("missing: ", found.missing)
    _print_faults("unreadable: ", found.unreadable)
    _print_faults("", found.faults)
    if found.whole:
        typer.echo("every image can be read")
    else:
        counts = f"{len(found.missing)} missing, {len(found.unreadable)} unreadable, {len(found.faults)} other faults"
        _print_red(f"{counts}; a run would refuse this copy: replace these files or get the dataset again")


def _print_counts(found: Inspection) -> None:
    from rich.table import Table

    columns = ("split", "images", "classes", "images per class", "missing", "unreadable")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for split, counts in found.splits.items():
        table.add_row(split, *_cells(counts))
    console_out().print(table)


def _cells(counts: SplitCounts) -> tuple[str, ...]:
    images, classes = counts.published or (None, None)
    spread = f"{counts.smallest} to {counts.largest}" if counts.smallest < counts.largest else str(counts.largest)
    compared = _of(counts.images, images), _of(counts.classes, classes)
    return (*compared, spread, str(counts.missing), str(counts.unreadable))


def _of(found: int, published: int | None) -> str:
    return str(found) if published is None else f"{found} of {published}"


def _print_repeated(groups: Sequence[Repeated]) -> None:
    """Images that occur more than once, those first that have several labels."""
    if not groups:
        return
    several = [group for group in groups if len(group.classes) > 1]
    crossing = [group for group in groups if "train" in group.splits and len(group.splits) > 1]
    occur = "1 image occurs" if len(groups) == 1 else f"{len(groups)} images occur"
    typer.echo(
        f"{occur} more than once ({sum(len(group.paths) for group in groups)} files look the same), "
        f"{len(several)} of them in several classes, {len(crossing)} on both sides of the split"
    )
    for group in [*several, *(group for group in groups if group not in several)][:_SHOWN]:
        typer.echo(f"the same: {' = '.join(group.paths)}")


def _print_faults(kind: str, messages: Sequence[str]) -> None:
    for message in messages[:_SHOWN]:
        _print_red(f"{kind}{message}")
    if len(messages) > _SHOWN:
        _print_red(f"{kind}{len(messages) - _SHOWN} more")


def _print_red(message: str) -> None:
    typer.secho(message, fg="red", err=True)
