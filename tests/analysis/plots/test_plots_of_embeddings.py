"""Figures of one run's embedding space: similarity of proxies, maps, galleries, confusions."""

from dataclasses import replace

import numpy as np
import pytest
from figure_checks import assert_nothing_overlaps, texts_in

from analysis.plots.networks.embedding_maps import EmbeddingGroup, embedding_map
from analysis.plots.networks.retrievals import Picture, class_confusion, confused_classes, retrieval_gallery
from analysis.plots.networks.similarity import proxy_cosines, proxy_similarity
from trainables.errors import DmlStudyError


def test_similar_proxies_stand_beside_each_other() -> None:
    proxies = np.array([[1.0, 0.0], [0.0, 3.0], [2.0, 0.2], [0.1, 1.0]])
    figure = proxy_similarity(proxies, ["a", "b", "c", "d"])
    names = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert {frozenset(names[:2]), frozenset(names[2:])} == {frozenset("ac"), frozenset("bd")}
    shown = np.asarray(figure.axes[0].images[0].get_array())
    order = ["abcd".index(name) for name in names]
    assert shown == pytest.approx(proxy_cosines(proxies)[np.ix_(order, order)])
    assert "from 0.00 to 1.00" in " ".join(texts_in(figure))


def test_several_centres_of_a_class_count_by_their_mean_direction() -> None:
    centres = np.array([[[1.0, 0.0], [0.0, 5.0]], [[1.0, 1.0], [2.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]]])
    assert proxy_cosines(centres)[0] == pytest.approx([1.0, 1.0, 0.0], abs=1e-12)
    with pytest.raises(DmlStudyError, match="none of them zero"):
        proxy_cosines(np.zeros((3, 2)))


def group(name: str, classes: list[str], *, each: int = 8, seed: int = 0) -> EmbeddingGroup:
    labels = np.repeat(np.arange(len(classes)), each)
    return EmbeddingGroup(name, np.random.default_rng(seed).normal(size=(len(labels), 4)), labels, classes)


def test_a_map_has_a_marker_per_group_and_a_colour_per_class() -> None:
    seen = group("seen", [f"s{index}" for index in range(9)])
    proxies = group("proxies", list(seen.class_names), each=1, seed=1)
    figure = embedding_map([seen, proxies, group("synthetic", ["x"], seed=2)], projection="pca", classes=4, points=5)
    drawn = figure.axes[0].collections
    assert [len(each.get_offsets()) for each in drawn] == [5] * 4 + [1] * 4 + [5]
    colours = [tuple(each.get_facecolor()[0]) for each in drawn]
    assert colours[:4] == colours[4:8] and len(set(colours[:4] + colours[8:])) == 5
    texts = texts_in(figure)
    assert {"seen", "proxies", "synthetic", "x"} <= set(texts)
    assert sum(text in seen.class_names for text in texts) == 4


def test_the_same_map_twice() -> None:
    groups = [group("seen", ["a", "b"]), group("unseen", ["c", "d"], seed=3)]
    first, second = (embedding_map(groups, projection="tsne").axes[0].collections[0].get_offsets() for _ in range(2))
    assert np.array_equal(first, second)
    with pytest.raises(DmlStudyError, match="five embeddings of one dimension"):
        embedding_map([group("seen", ["a"], each=3)])


def test_a_gallery_frames_and_marks_right_and_wrong_neighbours() -> None:
    image = np.zeros((3, 4, 4), dtype=np.uint8)
    figure = retrieval_gallery([Picture(image, "cat")], [[Picture(image, "cat"), Picture(image[:1], "dog")]])
    assert [ax.get_title() for ax in figure.axes] == ["cat", "✓ cat", "✗ dog"]
    right, wrong = (ax.spines["left"] for ax in figure.axes[1:])
    assert right.get_edgecolor() != wrong.get_edgecolor()
    assert right.get_linestyle() == "-" != wrong.get_linestyle()


def test_confusion_shows_the_classes_that_are_mistaken() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2, 3, 3])
    found = np.array([0, 1, 1, 1, 1, 0, 2, 2, 3, 2])
    assert sorted(confused_classes(labels, found, 2)) == [0, 1]
    figure = class_confusion(labels, found, ["a", "b", "c", "d"], classes=2)
    data, names = figure.axes[0].images[0].get_array(), [t.get_text() for t in figure.axes[0].get_yticklabels()]
    first = names.index("a")
    assert data[first].tolist() == ([25.0, 75.0] if first == 0 else [75.0, 25.0])
    assert "50.0 % have a neighbour of another class" in " ".join(texts_in(figure)).replace("\n", " ")


def test_long_names_do_not_overlap() -> None:
    names = [f"a class with a long name, number {index:02}" for index in range(30)]
    assert_nothing_overlaps(proxy_similarity(np.random.default_rng(0).normal(size=(30, 8)), names))
    image = np.zeros((1, 4, 4), dtype=np.uint8)
    row = [Picture(image, name) for name in names[:7]]
    assert_nothing_overlaps(retrieval_gallery(row[:2], [row, row]))


def test_steps_of_an_order_go_from_dark_to_bright_and_are_called_steps() -> None:
    ages = [group(name, ["now", "5 steps ago", "10 steps ago"], seed=seed) for seed, name in enumerate("ab")]
    figure = embedding_map([replace(each, ordered=True) for each in ages], projection="pca")
    colours = [tuple(each.get_facecolor()[0][:3]) for each in figure.axes[0].collections]
    assert colours[:3] == colours[3:]
    assert sum(colours[0]) < sum(colours[1]) < sum(colours[2])
    assert "48 embeddings of 3 steps" in " ".join(texts_in(figure)).replace("\n", " ")
