"""Run ids of all replicates of a cell: the identity is made once per fold, and seeds are put into its text."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from trainables.config import RunConfig
from trainables.parts import identity

_json = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_SEED = "\u0000seed"
_QUOTED = json.dumps(_SEED)


@dataclass(frozen=True, slots=True)
class Replicate:
    """A cell trained with one seed on one fold.

    Attributes:
        fold: None where the run reads out the models of all folds.
        sources: runs of the results folder that it needs something of, which come first.
    """

    seed: int
    fold: int | None
    run_id: str
    sources: tuple[str, ...] = ()


class Identities:
    """Run ids, the same as `RunConfig.run_id` gives; what cells share is worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[BaseModel, dict[str, Any]]] = {}
        self._texts: dict[int, str] = {}

    def remember(self, section: BaseModel) -> None:
        """Works a section's identity out now; the section is kept alive, since its address is the key."""
        content = identity(section)
        self._known[id(section)] = (section, content)
        self._texts[id(content)] = _json(content)

    def replicates(self, config: RunConfig, seeds: Sequence[int], folds: Sequence[int]) -> tuple[Replicate, ...]:
        """Every seed on every fold, seeds first.

        Replicates that are the same run count once: an untrained embedding from a weights file has no seed.
        """
        texts = {fold: self._text(config, fold) for fold in folds}
        distinct: dict[str, Replicate] = {}
        for seed in seeds:
            for fold in folds:
                run_id = _hash(texts[fold], seed)
                distinct.setdefault(run_id, Replicate(seed, fold, run_id))
        return tuple(distinct.values())

    def _text(self, config: RunConfig, fold: int) -> list[str]:
        """The canonical JSON of the identity, cut where the seed stands."""
        run = config if config.fold == fold else config.model_copy(update={"fold": fold})
        content = run.identity(inner=self._identity)
        if "seed" in content:
            content["seed"] = _SEED
        items = [f'"{key}":{self._texts.get(id(value)) or _json(value)}' for key, value in sorted(content.items())]
        return f"{{{','.join(items)}}}".split(_QUOTED)

    def _identity(self, section: BaseModel) -> dict[str, Any]:
        known = self._known.get(id(section))
        return identity(section) if known is None else known[1]


def _hash(text: Sequence[str], seed: int) -> str:
    return hashlib.sha256(str(seed).join(text).encode()).hexdigest()[:16]
