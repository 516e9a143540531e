"""Runs that differ from another one, for tests."""

from typing import Any

from trainables.config import RunConfig


def changed(run: RunConfig, **sections: Any) -> RunConfig:
    """The run with other sections: a mapping without a `name` changes single fields, all else stands for the whole."""
    content = run.model_dump()
    for key, value in sections.items():
        merged = isinstance(value, dict) and isinstance(content[key], dict) and "name" not in value
        content[key] = {**content[key], **value} if merged else value
    return RunConfig.model_validate(content)
