"""The spec that `init` writes."""

import re
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "starter.yaml"


def starter(study: str) -> str:
    """A commented spec to start from.

    Args:
        study: name of the study; what cannot stand in a name becomes a dash.
    """
    name = re.sub(r"[^\w .+-]+", "-", study).strip(" .+-") or "my-study"
    return EXAMPLE.read_text(encoding="utf-8").replace("study: my-study", f"study: {name}", 1)
