"""Parts: how they are written, named and found, and what of them goes into an identity."""

from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, ValidationError

from trainables.config import REGISTRIES, RunConfig
from trainables.losses.config import ProxyNCA
from trainables.parts import (
    Config,
    Part,
    added,
    at_defaults,
    hidden,
    identity,
    load_implementation,
    nearest,
    part_validator,
    registered,
)


class Small(Part):
    name: Literal["small"] = "small"
    width: int = 3
    place: str = hidden("here")
    implementation: ClassVar[str] = "math:pi"


class Grown(Part):
    """`Small` in a later version: the new field was in effect 1 before it existed, and is 2 by default now."""

    name: Literal["small"] = "small"
    width: int = 3
    place: str = hidden("here")
    depth: int = added(2, legacy=1)


class Mended(Small):
    numerics_version: ClassVar[int] = 2


class Holder(Config):
    part: Annotated[Part, part_validator(registered(Small), "thing")] = Small()
    pair: tuple[float, float] = (0.5, 1.0)


def test_identity_is_every_field_but_the_hidden_ones_and_the_version_of_the_part() -> None:
    assert identity(Small(place="there")) == {"name": "small", "width": 3, "numerics_version": 1}
    assert identity(Mended()) == {**identity(Small()), "numerics_version": 2}
    assert identity(Holder()) == {"part": identity(Small()), "pair": [0.5, 1.0]}


def test_an_added_field_is_left_out_at_what_older_runs_had_in_effect() -> None:
    assert identity(Grown(depth=1)) == identity(Small())
    assert identity(Grown()) == {**identity(Small()), "depth": 2}


def test_planning_may_remember_the_identity_of_inner_configurations() -> None:
    asked: list[BaseModel] = []

    def inner(config: BaseModel) -> dict[str, Any]:
        asked.append(config)
        return {"known": True}

    holder = Holder()
    assert identity(holder, inner=inner)["part"] == {"known": True}
    assert asked == [holder.part]


def test_fields_go_back_to_their_defaults_and_nothing_is_copied_in_vain() -> None:
    assert at_defaults(Small(width=7, place="there"), "width") == Small(place="there")
    untouched = Small(place="there")
    assert at_defaults(untouched, "width") is untouched


@pytest.mark.parametrize(
    "written", ["proxy_nca", {"name": "proxy_nca"}, {"name": "proxy_nca", "scale": 12}, ProxyNCA()]
)
def test_a_part_is_written_as_its_name_a_mapping_or_an_object(written: Any) -> None:
    assert RunConfig.model_validate({"loss": written}).loss == ProxyNCA()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("smal", "unknown thing 'smal'; did you mean 'small'"),
        ("zzz", "unknown thing 'zzz'; known: small"),
        (3, "expected the name of a thing or a mapping with a 'name'"),
        ({"width": 3}, "expected the name of a thing or a mapping with a 'name'"),
        ({"name": "small", "with": 3}, "Extra inputs are not permitted"),
        ({"name": "small", "width": "wide"}, "valid integer"),
    ],
)
def test_a_part_that_cannot_be_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Holder.model_validate({"part": written})


@pytest.mark.parametrize("not_finite", ["inf", "nan"])
def test_numbers_are_finite(not_finite: str) -> None:
    with pytest.raises(ValidationError, match="finite number"):
        Holder.model_validate({"pair": [float(not_finite), 1.0]})


def test_configurations_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Small().width = 4  # type: ignore[misc]


def test_the_nearest_spelling() -> None:
    assert nearest("proxy_ancor", ["proxy_anchor", "proxy_nca"]) == "did you mean 'proxy_anchor'?"
    assert nearest("xyz", ["b", "a"]) == "known: a, b"


def test_an_implementation_is_found_by_its_import_path() -> None:
    assert load_implementation(Small()) == pytest.approx(3.14159, abs=1e-5)


@pytest.mark.parametrize("kind", sorted(REGISTRIES))
def test_every_registered_part_has_its_name_and_an_implementation(kind: str) -> None:
    for name, cls in REGISTRIES[kind].items():
        part = cls.model_construct()
        assert part.name == name
        assert load_implementation(part) is not None
        assert (cls.__doc__ or "").strip()
