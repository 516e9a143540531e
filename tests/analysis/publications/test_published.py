"""Published numbers: chosen, quoted below a study's own, and checked against the runs that they come from."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from study_in_memory import Study

import analysis
from analysis.publications import choose, parse_filters, published_values
from analysis.statistics import compare_summaries, known_summary, summarize
from analysis.tables import Table, comparison_table, render, with_published
from analysis.tables.formats.layout import lay_out
from trainables.errors import DmlStudyError
from trainables.ledger import Ledger

# Gu, Ko and Kim, Proxy Synthesis, README of the released code: Cars-196, eight runs.
README = {
    ("none", "norm_softmax"): {"recall_at_1": (83.08, 0.21), "r_precision": (35.23, 0.34), "map_at_r": (24.92, 0.35)},
    ("proxy_synthesis", "norm_softmax"): {
        **{"recall_at_1": (84.25, 0.31), "r_precision": (36.76, 0.20), "map_at_r": (26.51, 0.18)},
    },
    ("none", "proxy_nca"): {"recall_at_1": (83.28, 0.36), "r_precision": (35.70, 0.21), "map_at_r": (25.35, 0.18)},
    ("proxy_synthesis", "proxy_nca"): {
        **{"recall_at_1": (84.21, 0.21), "r_precision": (36.66, 0.18), "map_at_r": (26.42, 0.20)},
    },
}


def test_every_number_has_a_source_and_fractions_come_out() -> None:
    everything = analysis.published()
    assert len(everything) == 786
    assert everything["citation"].str.len().min() > 10
    scores = everything[everything["metric"] != "train_steps"]
    assert scores["mean"].between(0, 1).all() and everything[everything["metric"] == "train_steps"]["mean"].min() > 1
    found = analysis.published(
        dataset="cub200", method=["none", "proxy_synthesis"], base_loss="norm_softmax", source="ps-table6"
    )
    assert dict(zip(found["method"], found["mean"], strict=True)) == {"none": 0.649, "proxy_synthesis": 0.66}
    assert found["place"].unique().tolist() == ["Table 6"] and found["std"].isna().all()
    assert analysis.published(embedding_dim=64, backbone="resnet50").empty


def test_filters_know_their_values() -> None:
    assert parse_filters(["dataset=cars196", "metric=map_at_r", "metric=recall_at_1", "all"]) == {
        "dataset": ["cars196"],
        "metric": ["map_at_r", "recall_at_1"],
    }
    with pytest.raises(DmlStudyError, match="dataset 'cars169'; did you mean 'cars196'"):
        analysis.published(dataset="cars169")
    with pytest.raises(DmlStudyError, match="unknown filter 'datset'; did you mean 'dataset'"):
        choose({"datset": ["cars196"]})
    with pytest.raises(DmlStudyError, match="write KEY=VALUE"):
        parse_filters(["cars196"])


def test_published_means_and_deviations_follow_from_the_published_runs_but_one() -> None:
    checked = analysis.check_published_runs().set_index(["method", "base_loss", "metric"])
    assert len(checked) == 12 and (checked["n"] == 8).all()
    wrong = checked[~checked["agrees"]]
    assert wrong.index.tolist() == [("none", "norm_softmax", "map_at_r")]
    assert (round(wrong["mean"].item(), 2), round(wrong["std"].item(), 2)) == (24.96, 0.41)
    for (method, loss, metric), row in checked.drop(wrong.index).iterrows():  # type: ignore[misc]
        mean, std = README[method, loss][metric]
        assert (row["published_mean"], row["published_std"]) == (mean, std)
        assert abs(row["mean"] - mean) < 0.0051
        assert np.floor(100 * row["std"] + 1e-6) / 100 == std  # ddof = 1, cut off after two decimals
    memvir = analysis.check_published_runs("memvir-readme")
    assert memvir["agrees"].all() and (memvir["std"].round(2) == memvir["published_std"]).all()


def test_only_sample_deviations_reproduce_the_readmes() -> None:
    """With ddof = 0 several are too small, however they are rounded."""
    values: dict[tuple[str, ...], list[float]] = {}
    for record in published_values():
        key = (record["source"], record["method"], record["base_loss"], record["metric"])
        values.setdefault(key, []).append(float(record["value"]))
    deviations = {key: (np.std(each, ddof=0), np.std(each, ddof=1)) for key, each in values.items()}
    population, sample = deviations["ps-readme", "none", "proxy_nca", "recall_at_1"]
    assert population < 0.34 and 0.36 <= sample < 0.37  # published: 0.36


def test_published_runs_are_a_study_whose_table_is_the_readme(tmp_path: Path) -> None:
    table = comparison_table(analysis.published_runs())
    found = {
        row.labels[0]: {cell.metric.column.removeprefix("best_test_"): cell.summary for cell in row.cells}
        for row in table.rows
    }
    names = {"none": "{}", "proxy_synthesis": "{} + PS"}
    for (method, loss), metrics in README.items():
        for metric, (mean, std) in metrics.items():
            summary = found[names[method].format(loss)][metric]
            if (method, loss, metric) != ("none", "norm_softmax", "map_at_r"):
                assert summary.n == 8 and abs(summary.mean - mean) < 0.0051 and 0 <= summary.std - std < 0.01
    assert (
        "Does not match its own runs: MAP@R of norm_softmax is published as 24.92 ± 0.35; its 8 values give "
        "24.96 ± 0.41."
    ) in table.footnotes
    assert any(note.startswith("† Selected on test") for note in table.footnotes)
    deltas = [cell.delta for row in table.rows for cell in row.cells if cell.delta]
    assert [delta.difference for delta in deltas] == pytest.approx([1.555, 1.07625])
    assert not any(delta.paired for delta in deltas)  # the values are sorted: nothing says which belong together
    folder = analysis.write_published_runs(tmp_path / "published")
    assert len(Ledger.open(folder).commits()) == 32
    assert render(comparison_table(analysis.load(folder)), "markdown") == render(table, "markdown")


def test_welch_from_summaries_is_welch_from_values() -> None:
    first, second = np.array([83.4, 83.2, 83.1, 82.9]), np.array([84.7, 84.5, 84.1])
    found = compare_summaries(summarize(first), summarize(second))
    test = stats.ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval()
    assert (found.p_value, found.low, found.high) == pytest.approx((test.pvalue, interval.low, interval.high))
    assert not found.paired
    alone = compare_summaries(known_summary(0, 83.0, float("nan")), summarize(second))
    assert alone.difference == pytest.approx(83.0 - second.mean()) and np.isnan([alone.p_value, alone.low]).all()


def cars(*, metric: str = "test_map_at_r", last: bool = False) -> Study:
    """Two methods that papers report on Cars-196, with five seeds."""
    study = Study(seeds=range(5))
    levels = [0.20, 0.21, 0.22, 0.23, 0.24]
    settings = {"loss": "norm_softmax", "backbone": "bn_inception", "embedding_dim": 512}
    base = study.add("mine", {metric: levels}, dataset="cars196", settings={**settings, "synthesis": "none"})
    better = {metric: [level + 0.01 for level in levels]}
    synthesis = {"synthesis": "proxy_synthesis"}
    study.add("mine + PS", better, baseline=base, dataset="cars196", settings={**settings, **synthesis})
    for run in study.runs.values():
        config = json.loads(run["config"])
        config["protocol"]["selection"] = "last" if last else "best_validation"
        config["dataset"]["name"] = "cars196"
        run["config"] = json.dumps(config)
    return study


def quoted(study: Study, **filters: list[str]) -> Table:
    results = study.results()
    metric = next(key for key in next(iter(study.runs.values())) if key.endswith("test_map_at_r"))
    return with_published(comparison_table(results, metrics=[metric]), results, filters)


def test_quoted_rows_are_marked_and_compared_within_their_publication() -> None:
    table = quoted(cars(), source=["ps-readme"], base_loss=["norm_softmax"])
    assert [[entry.text for entry in row] for row in lay_out(table).body][2:] == [
        ["norm_softmax †1", "8", "24.92 ± 0.35", ""],
        ["norm_softmax + proxy_synthesis †1", "8", "26.51 ± 0.18", "+1.59‡ [+1.28, +1.90]"],
    ]
    assert not any(cell.bold for row in table.rows[2:] for cell in row.cells)
    assert table.rows[1].cells[0].bold  # a quoted number that is better takes nothing away
    notes = "\n".join(table.footnotes)
    assert (
        "†1 Gu, Ko and Kim, Proxy Synthesis, AAAI 2021, README of the released code: bn_inception; 512 dimensions; "
        "8 runs; best epoch on the test classes; each metric is the best of 26 looks at the test classes."
    ) in notes
    assert "mine − norm_softmax †1: cars196 MAP@R −2.92;" in notes
    assert "mine + PS − norm_softmax + proxy_synthesis †1: cars196 MAP@R −3.51." in notes
    header, *rows = csv.reader(io.StringIO(render(table, "csv")))
    assert rows[2][header.index("cars196 MAP@R (%) mean")] == "24.92"


@pytest.mark.parametrize(("metric", "last", "tested"), [
    ("best_test_map_at_r", True, True),
    ("best_test_map_at_r", False, False),
    ("test_map_at_r", True, False),
])  # fmt: skip
def test_quoted_numbers_are_tested_against_only_where_protocols_match(metric: str, last: bool, tested: bool) -> None:
    table = quoted(cars(metric=metric, last=last), source=["ps-readme"], base_loss=["norm_softmax"], method=["none"])
    note = next(note for note in table.footnotes if note.startswith("Trained here"))
    mine = summarize([20.0, 21.0, 22.0, 23.0, 24.0])
    p_value = stats.ttest_ind_from_stats(mine.mean, mine.std, 5, 24.92, 0.35, 8, equal_var=False).pvalue
    assert (f"−2.92 (p = {p_value:.2g})" in note) == tested
    assert "−2.92" in note


def test_numbers_without_deviations_and_runs_are_plain() -> None:
    table = quoted(cars(), source=["ccp-table2-mean", "ccp-table2-concat"], base_loss=["contrastive_c2"])
    body = [[entry.text for entry in row] for row in lay_out(table).body][2:]
    assert all(row[1] == "–" and "±" not in row[2] and "[" not in row[3] for row in body)
    assert {row[0].rpartition(" ")[2] for row in body} == {"†1", "†2"}
    notes = "\n".join(table.footnotes)
    assert "number of runs not stated; epoch chosen on validation classes" in notes
    assert "embeddings of four fold models side by side" in notes


def test_tables_that_nothing_can_be_quoted_in() -> None:
    study = cars()
    results = study.results()
    with pytest.raises(DmlStudyError, match="datasets and metrics in the columns"):
        with_published(comparison_table(results, rows=["metric"], columns=["dataset"]), results)
    with pytest.raises(DmlStudyError, match="and nothing else"):
        with_published(comparison_table(results, columns=["method"]), results)
    with pytest.raises(DmlStudyError, match="no published number fits the table"):
        with_published(comparison_table(results, metrics=["map_at_r"]), results, {"dataset": ["sop"]})
