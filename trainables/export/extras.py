"""Optional packages that exports need."""

from importlib.util import find_spec

from trainables.errors import ConfigError

_ONNX = ("onnx", "onnxscript", "onnxruntime")
PACKAGES = {"safetensors": ("safetensors",), "onnx": _ONNX}
"""What each format is written and checked with."""


def require_packages(*names: str) -> None:
    """
    Raises:
        ConfigError: some are not installed.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this needs the package{'s' if len(missing) > 1 else ''} {', '.join(missing)}; "
            'install with: pip install "dml-study[export]"'
        )
