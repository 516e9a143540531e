"""Figures: what they show, and that texts do not run into each other."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from figure_checks import LONG, ODD, assert_nothing_overlaps, texts_in
from matplotlib.figure import Figure
from study_in_memory import Study

from analysis import plots
from trainables.errors import DmlStudyError


def grid_study(methods: int = 1, *, name: str = "method", missing: bool = True) -> Study:
    """A baseline and `methods` methods at three ratios and two alphas; one cell is missing, one has a single seed."""
    study = Study(axes=["dataset", "synthesis.ratio", "synthesis.mixup_alpha"])
    rng = np.random.default_rng(0)
    base = study.add("base", [0.70, 0.71, 0.72])
    for index in range(methods):
        for ratio in (1.0, 0.25, 0.5):
            for alpha in (0.2, 0.4):
                values: list[float | None] = list(0.7 + rng.normal(0, 0.01, 3))
                if missing and (ratio, alpha) == (0.5, 0.4):
                    values = [None] * 3
                if missing and (ratio, alpha) == (1.0, 0.4):
                    values = [0.75, None, None]
                axes = {"synthesis__ratio": ratio, "synthesis__mixup_alpha": alpha}
                study.add(f"{name} {index}", values, baseline=base, **axes)
    return study


def with_curves(study: Study, *, epochs: int = 6) -> Study:
    for index, cell in enumerate(study.cells):
        count = len(cell["replicates"])
        study.curve(index, [[0.5 + 0.01 * epoch + 0.02 * seed for epoch in range(epochs)] for seed in range(count)])
    return study


def panels(figure: Figure) -> list[Any]:
    return [ax for ax in figure.axes if ax.get_visible() and ax.images]


def test_heatmap_infers_its_parameters_and_sorts_numbers() -> None:
    (ax,) = panels(plots.heatmap(grid_study().results()))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("ratio", "mixup alpha")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.25", "0.5", "1.0"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.2", "0.4"]


def test_heatmap_shows_means_spreads_and_what_is_missing() -> None:
    study = Study(axes=["loss.scale", "synthesis.ratio"])
    study.add("a", [0.5, 0.6, 0.7], loss__scale=1, synthesis__ratio=0.5)
    study.add("a", [0.5, 0.6, None], loss__scale=2, synthesis__ratio=0.5)
    study.add("a", [None] * 3, loss__scale=1, synthesis__ratio=1.0)
    (ax,) = panels(plots.heatmap(study.results()))
    assert {text.get_text() for text in ax.texts} == {"60.00\n±10.00", "55.00\n±7.07\nn=2"}
    data = ax.images[0].get_array()
    assert data.mask.tolist() == [[False, False], [True, True]]
    assert data[0].tolist() == pytest.approx([60.0, 55.0])
    assert len([patch for patch in ax.patches if patch.get_hatch()]) == 2


def marked(values: dict[tuple[int, float], list[float]], **options: Any) -> tuple[list[tuple[float, float]], list[str]]:
    """Places of the frames, and bold texts, of a heatmap with these cells."""
    study = Study(axes=["loss.scale", "synthesis.ratio"], seeds=range(5))
    for (scale, ratio), column in values.items():
        study.add("a", list(column), loss__scale=scale, synthesis__ratio=ratio)
    (ax,) = panels(plots.heatmap(study.results(), **options))
    frames = [patch.get_center() for patch in ax.patches if not patch.get_fill()]
    bold = [text.get_text().split("\n")[0] for text in ax.texts if text.get_fontweight() == "bold"]
    return [(round(x), round(y)) for x, y in frames], bold


def test_heatmap_frames_the_best_and_writes_bold_what_tables_do() -> None:
    noisy, near, far = [0.70, 0.72, 0.71, 0.69, 0.73], [0.71, 0.70, 0.70, 0.70, 0.72], [0.60, 0.61, 0.60, 0.61, 0.62]
    cells = {(1, 0.5): far, (2, 0.5): noisy, (1, 1.0): near, (2, 1.0): far}
    assert marked(cells) == ([(1, 0)], ["71.00", "70.60"])
    few = {place: values[:3] for place, values in cells.items()}
    assert marked(few) == ([(1, 0)], ["71.00"])
    assert marked(cells, metric="map_at_r", show="value", spread="interval")[0] == [(1, 0)]


def test_heatmap_shows_intervals_where_asked() -> None:
    study = Study(axes=["loss.scale", "synthesis.ratio"])
    study.add("a", [0.5, 0.6, 0.7], loss__scale=1, synthesis__ratio=0.5)
    (ax,) = panels(plots.heatmap(study.results(), spread="interval"))
    assert [text.get_text() for text in ax.texts] == ["60.00\n±24.84"]


def test_heatmap_of_differences_is_paired_and_centred_on_zero() -> None:
    figure = plots.heatmap(grid_study(missing=False).results(), show="difference")
    (ax,) = panels(figure)
    norm = ax.images[0].norm
    assert norm.vmin == -norm.vmax
    assert all(text.get_text()[0] in "+−" for text in ax.texts)
    assert any("points" in text for text in texts_in(figure))


def test_heatmap_has_a_panel_for_every_dataset_method_and_remaining_setting() -> None:
    study = Study(axes=["dataset", "loss.scale", "synthesis.ratio", "embedding_dim"], seeds=(0, 1))
    for dataset in ("glyphs", "cub"):
        for width in (32, 64):
            for scale in (1, 2):
                axes = {"loss__scale": scale, "synthesis__ratio": 0.5, "embedding_dim": width}
                study.add("a", [0.5, 0.6], dataset=dataset, **axes)
    with pytest.raises(DmlStudyError, match=r"Name x and y; numeric ones are: loss\.scale, synthesis\.ratio"):
        plots.heatmap(study.results())
    figure = plots.heatmap(study.results(), x="loss.scale", y="synthesis.ratio")
    titles = [ax.get_title().replace("\n", " ") for ax in panels(figure)]
    assert titles == [f"{data}, a, embedding dim {width}" for data in ("glyphs", "cub") for width in (32, 64)]


def test_heatmap_along_methods_and_datasets_reads_from_the_top() -> None:
    study = Study(seeds=(0, 1))
    for method in ("first", "second"):
        for dataset in ("glyphs", "cub"):
            study.add(method, [0.5, 0.6], dataset=dataset)
    (ax,) = panels(plots.heatmap(study.results(), x="dataset", y="method"))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["second", "first"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["glyphs", "cub"]


def test_heatmap_errors_say_what_there_is() -> None:
    results = grid_study().results()
    with pytest.raises(DmlStudyError, match=r"'loss\.scale' is not compared"):
        plots.heatmap(results, x="loss.scale", y="synthesis.ratio")
    with pytest.raises(DmlStudyError, match="no method 'nobody'"):
        plots.heatmap(results, methods=["nobody"])
    with pytest.raises(DmlStudyError, match="no method has both"):
        plots.heatmap(results, x="synthesis.ratio", y="synthesis.mixup_alpha", methods=["base"])


def test_a_study_without_results_yet_gives_reasons_and_no_empty_axes() -> None:
    study = Study(axes=["loss.scale", "synthesis.ratio"])
    for scale, ratio in ((1, 0.5), (2, 0.5), (1, 1.0)):
        study.add("a", [None] * 3, loss__scale=scale, synthesis__ratio=ratio)
    results = study.results()
    with pytest.raises(DmlStudyError, match=r"no cell with 'loss\.scale' and 'synthesis\.ratio' has a result in MAP@R"):
        plots.heatmap(results)
    with pytest.raises(DmlStudyError, match="no setting has a result yet"):
        plots.parallel_coordinates(results)


def test_curves_are_means_over_seeds_with_the_interval_of_students_t() -> None:
    study = with_curves(grid_study(0))
    (ax,) = plots.learning_curves(study.results()).axes
    line = ax.lines[0]
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert line.get_ydata().tolist() == pytest.approx([52.0, 53.0, 54.0, 55.0, 56.0, 57.0])
    low, high = ax.collections[0].get_datalim(ax.transData).intervaly
    assert (low, high) == pytest.approx((52 - 2 * 4.302653 / 3**0.5, 57 + 2 * 4.302653 / 3**0.5))
    assert ax.get_ylabel() == "MAP@R, validation (%)"


def test_curves_of_one_seed_have_no_band() -> None:
    study = Study(seeds=(0,))
    study.add("a", [0.5])
    figure = plots.learning_curves(with_curves(study).results())
    assert not figure.axes[0].collections
    assert any(text.startswith("one seed\n") for text in texts_in(figure))


def test_curves_leave_out_incomplete_runs_and_epochs_that_some_seeds_lack() -> None:
    study = Study(seeds=(0, 1, 2))
    study.add("a", [0.5, 0.6, 0.7], status={2: "failed"})
    study.curve(0, [[0.1, 0.2, 0.3], [0.1, 0.2], [0.9, 0.9, 0.9]])
    (ax,) = plots.learning_curves(study.results()).axes
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([10.0, 20.0])


def test_curves_average_folds_first() -> None:
    study = Study(seeds=(0, 1), folds=2)
    study.add("a", [0.5] * 4)
    study.curve(0, [[0.1], [0.3], [0.5], [0.9]])
    (ax,) = plots.learning_curves(study.results(), band="std").axes
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([45.0])


def test_curves_show_the_setting_that_validation_chose_or_all() -> None:
    study = Study(axes=["synthesis.ratio"], seeds=(0, 1))
    for ratio, value in ((0.5, 0.4), (1.0, 0.6)):
        study.add("PS", {"test_map_at_r": [0.5] * 2, "val_map_at_r": [value] * 2}, synthesis__ratio=ratio)
    results = with_curves(study).results()
    assert [line.get_label() for line in plots.learning_curves(results).axes[0].lines] == ["PS (ratio 1.0)"]
    every = plots.learning_curves(results, settings="all").axes[0].lines
    assert [line.get_label() for line in every] == ["PS (ratio 0.5)", "PS (ratio 1.0)"]


def test_curves_draw_the_untrained_embedding_as_a_line_across() -> None:
    study = Study()
    study.add("untrained", {"val_map_at_r": [0.4] * 3}, run_ids=["a" * 16] * 3)
    study.add("a", {"val_map_at_r": [0.5, 0.6, 0.7]})
    study.curve(1, [[0.3, 0.5]] * 3)
    lines = plots.learning_curves(study.results()).axes[0].lines
    assert [line.get_label() for line in lines] == ["a", "untrained"]
    assert list(lines[1].get_ydata()) == pytest.approx([40.0, 40.0])


def test_curves_without_data_say_what_is_missing() -> None:
    with pytest.raises(DmlStudyError, match=r"'train_loss' by epoch.*recorded by some runs: val_map_at_r$"):
        plots.learning_curves(with_curves(grid_study(0)).results(), metric="train_loss")
    with pytest.raises(DmlStudyError, match="phase 'refit'"):
        plots.learning_curves(with_curves(grid_study(0)).results(), phase="refit")


@pytest.mark.parametrize(("methods", "name"), [(1, "m"), (1, LONG), (10, LONG), (2, ODD)])
def test_texts_do_not_overlap_and_stay_on_the_page(methods: int, name: str) -> None:
    study = grid_study(methods, name=name)
    assert_nothing_overlaps(plots.heatmap(study.results()))
    assert_nothing_overlaps(plots.heatmap(study.results(), show="difference"))
    assert_nothing_overlaps(plots.learning_curves(with_curves(study).results(), settings="all"))


def test_a_single_cell_can_be_drawn() -> None:
    study = Study(axes=["loss.scale", "synthesis.ratio"], seeds=(0,))
    study.add("a", [0.5], loss__scale=1, synthesis__ratio=0.5)
    assert_nothing_overlaps(plots.heatmap(study.results()))
    assert_nothing_overlaps(plots.learning_curves(with_curves(study, epochs=1).results()))


def test_nothing_global_changes_and_nothing_stays_open(tmp_path: Path) -> None:
    before = {key: matplotlib.rcParams[key] for key in matplotlib.rcParams}
    plots.save(plots.heatmap(grid_study().results()), tmp_path / "figure")
    assert {key: matplotlib.rcParams[key] for key in matplotlib.rcParams} == before
    import matplotlib.pyplot as plt

    assert not plt.get_fignums()


def test_save_writes_vector_and_pixels_or_what_the_suffix_says(tmp_path: Path) -> None:
    figure = plots.heatmap(grid_study().results())
    files = plots.save(figure, tmp_path / "new" / "figure-0.5")
    assert [file.name for file in files] == ["figure-0.5.pdf", "figure-0.5.png"]
    assert files[0].read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in files[0].read_bytes()  # publishers refuse Type 3 fonts
    assert [file.name for file in plots.save(figure, tmp_path / "figure.svg")] == ["figure.svg"]
    with pytest.raises(DmlStudyError, match=r"figure\.docx"):
        plots.save(figure, tmp_path / "figure.docx")
