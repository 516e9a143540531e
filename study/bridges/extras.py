"""Optional packages: found, or one error with the command that installs them."""

import importlib
import os
from collections.abc import Mapping
from typing import Any

from trainables.errors import DmlStudyError


def require(module: str, *, extra: str, environment: Mapping[str, str] | None = None) -> Any:
    """Imports a module of an optional package.

    Args:
        module: its name.
        extra: of this distribution that installs it.
        environment: variables that the package reads when it is imported; what the user set stays.

    Raises:
        DmlStudyError: it is not installed.
    """
    for name, value in (environment or {}).items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = f'this export needs the package {extra} ({error}); install it with: pip install "dml-study[{extra}]"'
        raise DmlStudyError(text) from error
