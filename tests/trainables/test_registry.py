"""Registries: what is added by entry points, by files and by hand, and what is refused."""

from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import ValidationError

from trainables import registry as registries
from trainables.config import REGISTRIES, RunConfig
from trainables.errors import ConfigError
from trainables.losses import LOSSES
from trainables.losses.config import LossConfig, NormSoftmax
from trainables.parts import Part, load_implementation, registered
from trainables.plugins import load_plugins
from trainables.registry import Registry
from trainables.synthesis.config import ProxySynthesis
from trainables.training.schedule_config import Constant


class Mine(LossConfig):
    """A part for these tests."""

    name: Literal["mine"] = "mine"
    implementation: ClassVar[str] = "math:nothing"


class Imitation(NormSoftmax):
    """Takes the name of another part."""


class Nameless(LossConfig):
    """A name without a default."""


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """Entry points that the next new registry finds."""
    found: list[EntryPoint] = []
    monkeypatch.setattr(registries, "installed", lambda group: tuple(found))
    yield found


def losses(*classes: type[Part]) -> Registry[Part]:
    return registered(NormSoftmax, *classes, base=LossConfig, group="some.group")


def point(name: str) -> EntryPoint:
    return EntryPoint(name=name.lower(), value=f"{__name__}:{name}", group="some.group")


def test_entry_points_are_loaded_at_the_first_look(points: list[EntryPoint]) -> None:
    found = losses()
    points.append(point("Mine"))
    assert dict(found) == {"norm_softmax": NormSoftmax, "mine": Mine}
    points.append(point("Imitation"))
    assert len(found) == 2, "looked for a second time"


def test_distributions_are_read_once_for_all_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, real = [], metadata.distributions

    def counted(**context: str) -> Iterable[metadata.Distribution]:
        reads.append(context)
        return real(**context)

    monkeypatch.setattr(metadata, "distributions", counted)
    for cached in (registries.installed, registries._of_all_groups):
        cached.cache_clear()
    for group in ("some.group", "another.group"):
        assert registries.installed(group) == ()
    assert len(reads) == 1


def test_an_entry_point_does_not_replace_a_part(points: list[EntryPoint]) -> None:
    found = losses()
    points.append(point("Imitation"))
    for _ in range(2):  # the error stays: nothing is half loaded
        with pytest.raises(ConfigError, match=r"'imitation = .*:Imitation' in some\.group.*'norm_softmax'.* taken"):
            found.get("norm_softmax")


@pytest.mark.parametrize(
    ("name", "cls", "message"),
    [
        (
            "norm_softmax",
            Imitation,
            r"'norm_softmax' of .*Imitation is taken by .*NormSoftmax; give it another",
        ),
        ("other", Mine, "Mine needs the part's name as its default"),
        ("", Nameless, "Nameless needs the part's name as its default"),
        ("constant", Constant, "Constant'> is no subclass of LossConfig"),
        ("three", 3, "3 is no subclass of LossConfig"),
    ],
)
def test_what_cannot_be_registered(name: str, cls: type[Part], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        losses()[name] = cls


def test_a_class_may_be_registered_again(points: list[EntryPoint]) -> None:
    found = losses(Mine)
    points.append(point("Mine"))
    found["mine"] = Mine
    assert list(found) == ["norm_softmax", "mine"]
    del found["mine"]
    assert "mine" not in found


def test_a_plugin_file_does_not_replace_a_part(tmp_path: Path) -> None:
    path = tmp_path / "imitating_plugin.py"
    path.write_text(
        "from trainables.losses import LOSSES\n"
        "from trainables.losses.config import NormSoftmax\n"
        "class Better(NormSoftmax): 'Not really.'\n"
        "LOSSES['norm_softmax'] = Better\n"
    )
    with pytest.raises(ConfigError, match=r"--plugin .*imitating_plugin\.py: the name 'norm_softmax' of .* taken"):
        load_plugins([path])
    assert LOSSES["norm_softmax"] is NormSoftmax


def test_every_registry_takes_the_parts_of_others() -> None:
    groups = {kind: registry.group for kind, registry in REGISTRIES.items()}
    assert groups == {
        "dataset": "dml_study.datasets",
        "backbone": "dml_study.backbones",
        "loss": "dml_study.losses",
        "synthesis": "dml_study.syntheses",
        "strategy": "dml_study.strategies",
        "sampler": "dml_study.samplers",
        "optimizer": "dml_study.optimizers",
        "schedule": "dml_study.schedules",
    }
    assert all(registry.base is not Part for registry in REGISTRIES.values())


@pytest.mark.parametrize("section", ["loss", "sampler", "strategy"])
def test_a_part_of_another_kind_is_refused(section: str) -> None:
    with pytest.raises(ValidationError, match=f"expected a {section}, found 'proxy_synthesis', a ProxySynthesis"):
        RunConfig.model_validate({section: ProxySynthesis()})


@pytest.mark.parametrize("path", ["", "math:nothing", "no_such_module:x"])
def test_an_implementation_that_is_not_there(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mine, "implementation", path)
    with pytest.raises(ConfigError, match=f"implementation '{path}' of 'mine': "):
        load_implementation(Mine())
