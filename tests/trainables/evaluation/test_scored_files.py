"""Embeddings and labels that others wrote: every kind of file gives the same scores, bad ones one clear message."""

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study.cli import main
from trainables.errors import DataError
from trainables.evaluation import retrieval_metrics
from trainables.evaluation.files import read_set, score_files
from trainables.export.embeddings_file import EmbeddingsFile, write_embeddings

ROWS, CLASSES = 40, 5
LABELS = np.arange(ROWS) % CLASSES
VECTORS = (np.random.default_rng(0).normal(size=(ROWS, 4)) + np.eye(CLASSES)[LABELS][:, :4]).astype(np.float32)
EXPECTED = retrieval_metrics(torch.from_numpy(VECTORS), torch.from_numpy(LABELS))
NAMES = np.array([f"kind {label}" for label in LABELS])


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, Any], Path]:
    def put(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            np.save(path, content)
        return path

    return put


def exported(split: tuple[str, ...]) -> EmbeddingsFile:
    names = tuple(f"kind {label}" for label in range(CLASSES))
    paths = tuple(f"{row}.png" for row in range(ROWS))
    return EmbeddingsFile(VECTORS, LABELS, class_names=names, paths=paths, split=split, about={})


def test_all_kinds_of_files_give_the_metrics_of_retrieval_metrics(put: Any, tmp_path: Path) -> None:
    vectors = put("e.npy", VECTORS)
    for labels in (
        put("ints.npy", LABELS),
        put("whole.npy", LABELS.astype(float)),
        put("names.npy", NAMES),
        put("plain.csv", "\n".join(NAMES)),
        put("numbers.txt", "\n".join(map(str, LABELS))),
        put("table.csv", "path,Label\n" + "\n".join(f'"a,{row}.png",{name}' for row, name in enumerate(NAMES))),
    ):
        found = score_files(vectors, labels)
        assert found.metrics == EXPECTED, labels
        assert (found.queries, found.gallery, found.dimensions, found.classes) == (ROWS, None, 4, CLASSES)
    for name in ("x.npz", "x.parquet"):
        write_embeddings(exported(("test",) * ROWS), tmp_path / name)
        assert score_files(tmp_path / name).metrics == EXPECTED
        assert score_files(tmp_path / name, put("ints.npy", LABELS)).metrics == EXPECTED


def test_a_gallery_of_its_own_or_in_the_same_file(put: Any, tmp_path: Path) -> None:
    half = ROWS // 2
    expected = retrieval_metrics(
        *(torch.from_numpy(VECTORS[:half]), torch.from_numpy(LABELS[:half])),
        gallery=torch.from_numpy(VECTORS[half:]),
        gallery_labels=torch.from_numpy(LABELS[half:]),
    )
    sides = (put("q.npy", VECTORS[:half]), put("ql.csv", "\n".join(NAMES[:half])))
    gallery, labels = put("g.npy", VECTORS[half:]), put("gl.npy", NAMES[half:])
    found = score_files(*sides, gallery=gallery, gallery_labels=labels)
    assert found.metrics == expected and found.gallery == half
    write_embeddings(exported(("query",) * half + ("gallery",) * half), tmp_path / "x.npz")
    assert score_files(tmp_path / "x.npz").metrics == expected
    with pytest.raises(DataError, match="some labels are text and others numbers"):
        score_files(*sides, gallery=gallery, gallery_labels=put("gl2.npy", LABELS[half:]))
    with pytest.raises(DataError, match="name its embeddings with --gallery"):
        score_files(*sides, gallery_labels=labels)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return divmod, (1, 0)  # an error of its own, should it be called


def test_bad_files_are_refused_with_the_place_and_the_reason(put: Any, tmp_path: Path) -> None:
    vectors, labels = put("e.npy", VECTORS), put("l.npy", LABELS)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "empty.npy").write_bytes(b"")
    holes = VECTORS.copy()
    holes[[3, 7, 8, 9, 10, 11, 12], 1] = np.nan
    objects = put("objects.npy", np.array([Evil()], dtype=object))
    for path, kept, message in (
        (tmp_path / "none.npy", labels, "none.npy does not exist"),
        (tmp_path / "x.pt", labels, r"files are read as \.npy"),
        (objects, labels, "pickled Python objects, which are not loaded"),
        (tmp_path / "pickle.npy", labels, "pickled Python objects, which are not loaded"),
        (tmp_path / "empty.npy", labels, "cannot be read"),
        (put("flat.npy", VECTORS.ravel()), labels, r"embeddings are numbers \[N, D\]; found float32 \[160\]"),
        (put("text.npy", NAMES[:, None]), labels, "embeddings are numbers"),
        (put("holes.npy", holes), labels, r"rows 3, 7, 8, 9, 10 and 2 more \(from 0\) hold NaN"),
        (put("short.npy", VECTORS[:-1]), labels, "has 39 embeddings, and .* has 40 labels"),
        (vectors, None, "has no labels; name a file"),
        (vectors, put("half.npy", LABELS + 0.5), "whole numbers or text"),
        (vectors, put("wide.csv", "a,b\n" * ROWS), "several columns"),
        (vectors, put("gap.csv", "label,x\n" + "a,1\n" * 3 + ",1\n"), "row 4 is empty"),
        (vectors, put("ragged.csv", "x,label\n" + "1,a\n1\n"), "cannot be read"),
        (vectors, put("one.npy", np.full(ROWS, 7)), "among one class nothing can be wrong"),
        (vectors, put("all.npy", np.arange(ROWS)), "none of the 40 queries has another image of its class"),
    ):
        with pytest.raises(DataError, match=message):
            score_files(path, kept)
    with pytest.raises(DataError, match="has no 'embeddings', only a"):
        np.savez(tmp_path / "other.npz", a=VECTORS)
        read_set(tmp_path / "other.npz")


def test_the_command_prints_scores(
    put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors, labels = put("e.npy", VECTORS), put("l.npy", LABELS)
    command = ["dml-study", "evaluate", "--embeddings", str(vectors), "--labels", str(labels)]
    monkeypatch.setattr(sys, "argv", [*command, "--k", "2", "-m", "map_at_r"])
    with pytest.raises(SystemExit) as done:
        main()
    lines = capsys.readouterr().out.splitlines()
    assert done.value.code == 0
    assert lines[0] == "40 embeddings of 4 dimensions search one another: 5 classes, cosine distance"
    assert [line.split() for line in lines[1:]] == [
        ["MAP@R", f"{100 * EXPECTED['map_at_r']:.2f}", "%"],
        ["Recall@2", f"{100 * EXPECTED['recall_at_2']:.2f}", "%"],
    ]
    monkeypatch.setattr(sys, "argv", [*command, "--format", "json"])
    with pytest.raises(SystemExit):
        main()
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"] == EXPECTED and found["distance"] == "cosine" and found["gallery"] is None
