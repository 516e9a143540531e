"""The code of a launch, brought to every node of a cluster: the packages of this process, and its plug-in files."""

import shutil
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

from trainables.provenance import COMMIT_FILE, git_commit
from trainables.shipped import PLUGINS

_PACKAGES = ("study", "trainables", "analysis")
_DISTRIBUTION = "dml-study"


def staged_code(folder: Path, *, plugins: Sequence[Path]) -> list[str]:
    """Copies the code that this process runs, as Ray's `py_modules` takes it.

    Ray would take the packages from where they lie; the copy also says which commit and version they are, has the
    plug-ins, and leaves out what Python wrote beside them.

    Args:
        folder: gets the copy; it is made.
        plugins: files of `--plugin`.

    Returns:
        The folders to ship. On a node they come before all that is installed there.
    """
    for name in _PACKAGES:
        source = Path(str(import_module(name).__file__)).parent
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    if commit := git_commit():
        (folder / "trainables" / COMMIT_FILE).write_text(commit)
    if plugins:
        (folder / "trainables" / PLUGINS).mkdir()
        for plugin in plugins:
            shutil.copy(plugin, folder / "trainables" / PLUGINS / plugin.name)
    return [str(folder / name) for name in (*_PACKAGES, *_version(folder))]


def _version(folder: Path) -> list[str]:
    """Makes what names the version on a node, whatever is installed there."""
    try:
        version = metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return []
    name = f"{_DISTRIBUTION.replace('-', '_')}-{version}.dist-info"
    (folder / name).mkdir()
    (folder / name / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: {version}\n")
    return [name]
