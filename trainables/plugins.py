"""`--plugin FILE.py`: methods of one's own. Only the command line names plugins: reading a spec never runs code."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from trainables.errors import ConfigError, DmlStudyError


def load_plugins(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Imports each file once, as the module that its stem names; it adds its parts to the registries.

    Raises:
        ConfigError: a file is absent, fails, or takes the name of another module.
    """
    return tuple(_load(Path(path).resolve()) for path in paths)


def _load(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f"--plugin {path}: there is no such file")
    loaded = sys.modules.get(path.stem)
    if loaded is not None and Path(getattr(loaded, "__file__", None) or "").resolve() == path:
        return path
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if loaded is not None or spec is None or spec.loader is None:
        raise ConfigError(f"--plugin {path}: '{path.stem}' cannot be a module's name here; rename the file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        reason = str(error) if isinstance(error, DmlStudyError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"--plugin {path}: {reason}") from error
    return path
