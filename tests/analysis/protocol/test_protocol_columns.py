"""Comma-separated tables carry the protocol of every row, and pandas reads them without options."""

import csv
import io
import json
from typing import Any

import pandas as pd
from study_in_memory import Study

from analysis.protocol.columns import FIELDS
from analysis.tables import comparison_table, render
from trainables.config import RunConfig

DIGITS = "1234567890123456"
FIELD: dict[str, Any] = {"crop_scale": [0.08, 1.0], "flip": True, "crop_size": 224, "test_crop": 0.875}
MODEL: dict[str, Any] = {"name": "resnet50", "weights": "/w/resnet50.pth", "weights_revision": DIGITS, "pooling": "max"}
PROTOCOL: dict[str, Any] = {"partition": "contiguous", "refit": True, "distance": "euclidean"}


def study() -> Study:
    made = Study()
    for name, sections in {
        "plain": {},
        "field": {"backbone": MODEL, "augmentation": FIELD, "protocol": PROTOCOL},
    }.items():
        run = RunConfig.model_validate({**sections, "device": "cuda"}).model_dump(mode="json")
        settings = {"config": json.dumps(run), "dataset_revision": DIGITS, "embedding_dim": 512}
        made.add(name, [0.5, 0.6, 0.7], settings=settings)
    return made


def text(made: Study) -> str:
    return render(comparison_table(made.results(), metrics=["map_at_r"]), "csv")


def test_pandas_reads_every_field_of_the_protocol() -> None:
    frame = pd.read_csv(io.StringIO(text(study())))
    assert list(frame.columns[-len(FIELDS) :]) == [f"glyphs {name}" for name in FIELDS]
    field = frame.set_index("Method").loc["field"]
    told = {name: field[f"glyphs {name}"] for name in FIELDS}
    assert field["glyphs MAP@R (%) n"] == 3
    assert told["dataset_revision"] == told["weights_revision"] == f"revision {DIGITS}"
    assert (told["backbone"], told["embedding_dim"], told["precision"]) == ("resnet50", 512, "bfloat16")
    assert (told["selection"], told["select_by"], told["validation_folds"]) == ("best_validation", "map_at_r", 4)
    assert (told["partition"], told["folds"], told["distance"]) == ("contiguous", 1, "euclidean")
    assert bool(told["refit"])
    assert told["crops"].endswith("the middle square of 87.5 % of the short side for evaluation, at 224 px")
    assert "max pooling" in told["network"]
    assert told["training"] == "20 epochs, batches of 128, shuffled, adam, lr 0.001, bfloat16"


def test_every_line_has_as_many_fields_as_the_header() -> None:
    made = study()
    made.add("unfinished", [None, None, None])
    made.add("untrained", [0.4, 0.4, 0.4], settings={"strategy": "untrained", "config": _untrained()})
    header, *lines = csv.reader(io.StringIO(text(made)))
    assert {len(line) for line in lines} == {len(header)}
    rows = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert {rows["unfinished"][f"glyphs {name}"] for name in FIELDS} == {""}
    assert rows["untrained"]["glyphs dataset_revision"] == "revision abcdef0123456789"
    assert {rows["untrained"][f"glyphs {name}"] for name in ("training", "selection", "embedding_dim")} == {""}


def test_each_dataset_has_its_own_columns_and_differing_runs_are_listed() -> None:
    made = Study()
    for dataset in ("glyphs", "cub_200"):
        made.add("a", [0.5, 0.6, 0.7], dataset=dataset, settings={"dataset_revision": dataset})
    first = next(iter(made.runs.values()))
    first["dataset_revision"] = "older"
    (row,) = csv.DictReader(io.StringIO(text(made)))
    assert row["glyphs dataset_revision"] == "revision older; revision glyphs"
    assert row["cub_200 dataset_revision"] == "revision cub_200"


def _untrained() -> str:
    return json.dumps(RunConfig.model_validate({"strategy": "untrained"}).model_dump(mode="json"))


def test_runs_that_read_all_folds_count_no_fold_of_their_own() -> None:
    made = Study(folds=2, seeds=(0,))
    made.add("a", [0.5, 0.6])
    made.add("joined", [0.7])
    made.cells[1]["replicates"][0]["fold"] = None
    rows = {row["Method"]: row for row in csv.DictReader(io.StringIO(text(made)))}
    assert [rows[name]["glyphs folds"] for name in ("a", "joined")] == ["2", "1"]
