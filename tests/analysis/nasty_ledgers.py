"""Studies as they come out when something went wrong: every table and figure has to stay readable, and right."""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from figure_checks import LONG, ODD
from study_in_memory import Study

EPOCHS = 6
SCORES = (
    *("test_recall_at_1", "test_recall_at_2", "test_r_precision", "test_map_at_r", "val_map_at_r"),
    *("test_map_at_r_rotation_15", "test_map_at_r_rotation_30"),
)
SPACE = {
    "loss.scale": {"distribution": "uniform", "min": 1.0, "max": 19.0, "step": None},
    "optimizer.lr": {"distribution": "loguniform", "min": 0.0001, "max": 0.01, "step": None},
}


def plain(
    *,
    seeds: int = 3,
    names: Sequence[str] = ("base", "PS"),
    datasets: Sequence[str] = ("glyphs", "cub"),
    ratios: Sequence[Any] = (0.25, 0.5, 1.0),
    alphas: Sequence[Any] = (0.2, 0.4),
) -> Study:
    """A baseline, and a method over two compared parameters; with curves, costs, depths, deformations and a search."""
    rng = np.random.default_rng(0)
    study = Study(seeds=range(seeds), axes=["dataset", "synthesis.ratio", "synthesis.mixup_alpha"])
    for dataset in datasets:
        base = _add(study, rng, names[0], dataset=dataset)
        for ratio, alpha in product(ratios, alphas):
            _add(
                study,
                rng,
                names[1],
                baseline=base,
                dataset=dataset,
                synthesis__ratio=ratio,
                synthesis__mixup_alpha=alpha,
            )
    study.claim(names[1], names[0])
    study.searches.append(_search(names[1], datasets[0]))
    return study


def _add(study: Study, rng: np.random.Generator, method: str, baseline: int | None = None, **axes: Any) -> int:
    n = len(study.seeds)
    level = rng.uniform(0.4, 0.6)
    values = {
        f"test_{name}": rng.normal(level, 0.01, n).tolist() for name in ("recall_at_1", "r_precision", "map_at_r")
    }
    more = ("test_recall_at_2", "test_map_at_r_rotation_15", "test_map_at_r_rotation_30", "val_map_at_r")
    values |= {name: rng.normal(level, 0.01, n).tolist() for name in more}
    values["train_seconds"] = rng.uniform(50, 60, n).tolist()
    cell = study.add(method, values, baseline=baseline, **axes)
    study.curve(cell, (level - 0.1 / np.arange(1, EPOCHS + 1) + rng.normal(0, 0.01, (n, EPOCHS))).tolist())
    for row in study.epochs[-n * EPOCHS :]:
        row |= {"steps": 10, "train_seconds": 9.0, "extra": {"synthetic_classes": float(row["epoch"] // 2)}}
    return cell


def _search(method: str, dataset: str) -> dict[str, Any]:
    settings = [
        {
            "number": number,
            "params": {"loss.scale": 1.0 + number, "optimizer.lr": 10 ** (-4 + number / 6)},
            "value": None if number in (2, 7) else 0.5 + 0.01 * ((number * 5) % 7),
            "state": {2: "pruned", 7: "failed"}.get(number, "complete"),
            "runs": [],
        }
        for number in range(12)
    ]
    found = {"method": method, "axes": {"dataset": dataset}, "space": SPACE, "select_by": "map_at_r", "chosen": 4}
    asked = {"sampler": "tpe", "trials": 12, "seeds": [100], "folds": [0]}
    return {**found, **asked, "settings": settings}


def missing_cells() -> Study:
    """Some cells have no run, some a single one; a baseline is among those without."""
    study = plain()
    _drop(study, lambda cell, index: cell in (0, 2, 9) or (cell == 3 and index > 0))
    return study


def single_seed() -> Study:
    return plain(seeds=1)


def failed_replicate() -> Study:
    study = plain()
    for cell, index in ((0, 1), (4, 0), (8, 2)):
        _fail(study, study.cells[cell]["replicates"][index]["run_id"])
    return study


def not_finite(*values: float) -> Callable[[], Study]:
    """One value of some cells, all of another's, and parts of curves, of every metric and cost."""

    def made() -> Study:
        study, found = plain(), [*values]
        for cell, index in ((0, 1), (3, 0), (5, 0), (5, 1), (5, 2), (9, 2)):
            run_id = study.cells[cell]["replicates"][index]["run_id"]
            bad = found[(cell + index) % len(found)]
            row = study.runs[run_id]
            row.update({name: bad for name in row if name.startswith(("test_", "val_")) or name == "train_seconds"})
            row["extra"] = dict.fromkeys(row["extra"], bad)
            for epoch in study.epochs:
                if epoch["run_id"] == run_id and epoch["epoch"] > 2:
                    epoch.update(val_map_at_r=bad, train_seconds=bad, extra={"synthetic_classes": bad})
        for setting in study.searches[0]["settings"][3:5]:
            setting["value"] = found[0]
        return study

    return made


def absent_metric() -> Study:
    """Every second run recorded nothing but its Recall@1, and no curve."""
    study = plain()
    bare = set(list(study.runs)[::2])
    for run_id in bare:
        row = study.runs[run_id]
        for name in [name for name in row if name.startswith(("test_", "val_")) and name != "test_recall_at_1"]:
            del row[name]
        row["extra"] = {}
    study.epochs = [epoch for epoch in study.epochs if epoch["run_id"] not in bare]
    return study


def odd_names() -> Study:
    return plain(
        names=("50 % & co_{x}\\ #1 ~^ <b>|*", ODD),
        datasets=("Ünï_cødé Ελλάς Жуки", "a&b_c%d$e#f"),
        ratios=("$x_1^2$", "<i>", 'say "hi", |then| leave'),
        alphas=("naïve_ß", "100%"),
    )


def long_names() -> Study:
    return plain(names=(LONG, f"{LONG} + Proxy Synthesis"), datasets=("cub_200_2010_with_bounding_boxes", "glyphs"))


def many_cells() -> Study:
    """202 cells."""
    return plain(ratios=[round(0.05 * step, 2) for step in range(1, 11)], alphas=[0.1 * step for step in range(1, 11)])


def all_failed_but_one() -> Study:
    study = plain()
    for run_id in list(study.runs)[1:]:
        _fail(study, run_id)
    return study


def _drop(study: Study, dropped: Callable[[int, int], bool]) -> None:
    for cell, each in enumerate(study.cells):
        for index, replicate in enumerate(each["replicates"]):
            if dropped(cell, index):
                study.runs.pop(replicate["run_id"], None)
    study.epochs = [epoch for epoch in study.epochs if epoch["run_id"] in study.runs]


def _fail(study: Study, run_id: str) -> None:
    row = study.runs[run_id]
    row.update(status="failed", extra={})
    for name in [name for name in row if name.startswith(("test_", "val_")) or name == "train_seconds"]:
        del row[name]


NASTY: dict[str, Callable[[], Study]] = {
    "plain": plain,
    "missing cells": missing_cells,
    "single seed": single_seed,
    "failed replicate": failed_replicate,
    "NaN": not_finite(math.nan),
    "infinite": not_finite(math.inf, -math.inf),
    "absent metric": absent_metric,
    "odd names": odd_names,
    "long names": long_names,
    "many cells": many_cells,
    "all failed but one": all_failed_but_one,
}
