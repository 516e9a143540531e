"""Finds what a run learns from, where it is no run of the same study. Free of torch: planning uses it."""

from collections.abc import Sequence
from pathlib import Path

from trainables.backbones.weights import remembered_revision
from trainables.errors import DataError
from trainables.ledger import Ledger
from trainables.ledger.folder import has_results
from trainables.ledger.names import weights_key
from trainables.ledger.places import is_address, resolved
from trainables.strategies.config import Parent


def resolve(parent: Parent, *, search: Sequence[Path], cache: Path) -> Parent:
    """The same parent with absolute paths and the revision of its weights file.

    Args:
        search: folders that a relative path is looked up in, besides the working directory; the first hit counts.
        cache: folder that remembers revisions by path, size and modification time.

    Raises:
        DataError: there is no such file or results folder, it kept no weights of that run, or the file changed.
    """
    if parent.weights:
        return _with_revision(parent, search, cache)
    return _with_folder(parent, search) if parent.run and parent.results else parent


def _with_revision(parent: Parent, search: Sequence[Path], cache: Path) -> Parent:
    path = _find(parent.weights, search)
    if path is None or not path.is_file():
        raise DataError(
            f"teacher.weights: no file '{parent.weights}'; give the weights.pt that a run kept "
            "(`keep: {weights: selected}`, below artifacts/ of its results folder)"
        )
    revision = remembered_revision(path, cache)
    if parent.weights_revision not in ("", revision):
        raise DataError(
            f"weights file {path} has the revision {revision}, but teacher.weights_revision is "
            f"{parent.weights_revision}: put the old file back, or leave weights_revision out"
        )
    return parent.model_copy(update={"weights": str(path), "weights_revision": revision})


def _with_folder(parent: Parent, search: Sequence[Path]) -> Parent:
    folder = resolved(parent.results) if is_address(parent.results) else _find(parent.results, search)
    if folder is None or not has_results(folder):
        raise DataError(f"teacher.results: '{parent.results}' is no results folder; give the one that has the run")
    ledger = Ledger.open(folder)
    commit = ledger.commits().get(parent.run)
    if commit is None or commit.status != "complete":
        raise DataError(f"teacher.run: {folder} has no complete run {parent.run}; `dml-study status {folder}` helps")
    if not ledger.exists(weights_key(parent.run)):
        raise DataError(
            f"teacher.run: {folder} kept no weights of run {parent.run}; train it again with "
            "`keep: {weights: selected}` in its spec and --policy always"
        )
    return parent.model_copy(update={"results": str(folder)})


def _find(name: str, search: Sequence[Path]) -> Path | None:
    named = Path(name).expanduser()
    candidates = [named] if named.is_absolute() else [Path.cwd() / named, *(folder / named for folder in search)]
    return next((candidate.resolve() for candidate in candidates if candidate.exists()), None)
