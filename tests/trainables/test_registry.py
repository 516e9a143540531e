"""Registries: parts of installed distributions and of one's own, and what is refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
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

PARTS = '''\
"""A loss and a synthesis; the configurations are read without torch."""

from typing import ClassVar, Literal

from trainables.losses import LOSSES, LossConfig
from trainables.synthesis.config import SynthesisConfig


class Pull(LossConfig):
    """Cross entropy on scaled dot products."""

    name: Literal["pull"] = "pull"
    scale: float = 8.0
    proxy_init: str = "normal"
    is_softmax: ClassVar[bool] = True
    implementation: ClassVar[str] = "pull_torch:pull"


class Shaped(Pull):
    """One value for each row."""

    name: Literal["shaped"] = "shaped"
    implementation: ClassVar[str] = "pull_torch:shaped"


class Infinite(Pull):
    """A root at 0: the loss is finite, its gradient is not."""

    name: Literal["infinite"] = "infinite"
    implementation: ClassVar[str] = "pull_torch:infinite"


class Jitter(SynthesisConfig):
    """Noise on the embeddings."""

    name: Literal["jitter"] = "jitter"
    strength: float = 0.1
    implementation: ClassVar[str] = "pull_torch:Jitter"


class Forgetful(Jitter):
    """Has a state and does not read it back."""

    name: Literal["forgetful"] = "forgetful"
    implementation: ClassVar[str] = "pull_torch:Forgetful"
'''

TORCH = """\
from dataclasses import replace

import torch
from torch.nn import functional as nnf

from trainables.synthesis.base import Synthesis


def pull(embeddings, labels, proxies, *, scale, excluded=None):
    logits = scale * nnf.normalize(embeddings) @ nnf.normalize(proxies).T
    return nnf.cross_entropy(logits if excluded is None else logits.masked_fill(excluded, -torch.inf), labels)


def shaped(embeddings, labels, proxies, *, scale):
    return (embeddings * proxies[labels]).sum(1)


def infinite(embeddings, labels, proxies, *, scale):
    return (embeddings - embeddings.detach()).pow(2).sum().sqrt() + pull(embeddings, labels, proxies, scale=scale)


class Jitter(Synthesis):
    def enlarge(self, batch, step):
        noise = torch.randn(batch.embeddings.shape, generator=step.generator("jitter"))
        return replace(batch, embeddings=batch.embeddings + self.config.strength * noise.to(batch.embeddings))


class Forgetful(Jitter):
    steps = 0

    def enlarge(self, batch, step):
        self.steps += 1
        return super().enlarge(batch, step)

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        pass
"""

POINTS = """\
[dml_study.losses]
pull = pull_parts:Pull
shaped = pull_parts:Shaped
infinite = pull_parts:Infinite

[dml_study.syntheses]
jitter = pull_parts:Jitter
forgetful = pull_parts:Forgetful
"""

SPEC = """\
study: third-party
extends: fast_cpu
untrained: false
datasets:
  shapes: {name: glyphs, classes: 24, images_per_class: 6, image_size: 16}
compare: {dataset: [shapes]}
replicates: {seeds: 1}
settings: {backbone: {name: conv4, width: 4}, embedding_dim: 8, training.epochs: 2, training.batch_size: 8}
methods:
"""

FAILS = re.compile("fails: |[^ ]*Error")
Installed = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    """Installs a distribution into a folder; calls Python with it on the path."""
    (tmp_path / "pull_parts.py").write_text(PARTS)
    (tmp_path / "pull_torch.py").write_text(TORCH)
    record = tmp_path / "pull_parts-1.2.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: pull-parts\nVersion: 1.2\n")

    def call(*arguments: str, points: str = POINTS) -> "subprocess.CompletedProcess[str]":
        (record / "entry_points.txt").write_text(points)
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return call


def check(installed: Installed, folder: Path, *methods: str) -> tuple[int, list[str], list[str]]:
    """What `dml-study check` says of these methods: exit code, result, failures."""
    (folder / "spec.yaml").write_text(SPEC + "".join(f"  {method}\n" for method in methods))
    done = installed("-m", "study", "check", "spec.yaml")
    return done.returncode, done.stdout.splitlines(), [*filter(FAILS.match, done.stderr.splitlines())]


def test_check_passes_with_the_parts_of_an_installed_distribution(installed: Installed, tmp_path: Path) -> None:
    method = "one: {loss: {name: pull, scale: 16}, synthesis: jitter}"
    assert check(installed, tmp_path, method) == (0, ["1 of 1 distinct cells pass; 1 runs would train"], [])


def test_check_names_the_parts_that_are_broken(installed: Installed, tmp_path: Path) -> None:
    methods = ("a: {loss: shaped}", "b: {loss: infinite}", "c: {loss: pull, synthesis: forgetful}", "d: {loss: pull}")
    code, out, err = check(installed, tmp_path, *methods)
    assert (code, out) == (1, ["1 of 4 distinct cells pass; 4 runs would train"])
    assert err == [
        "fails: a, seed 0: TrainingError: loss 'shaped' should be a scalar, its shape is (8,)",
        "fails: b, seed 0: TrainingError: the training loss became nan in epoch 1: loss 'infinite'",
        "fails: c, seed 0: TrainingError: the state changes when it is saved and read back, at "
        "'state.fit.synthesis.steps' (strategy 'plain', loss 'pull', synthesis 'forgetful')",
    ]


def test_configurations_of_others_are_read_without_torch_and_work_with_the_parts_of_the_package(
    installed: Installed,
) -> None:
    code = (
        "import json, sys\n"
        "import pull_parts\n"  # first, as a test of the distribution would
        "from trainables.config import RunConfig\n"
        "assert 'torch' not in sys.modules\n"
        "run = RunConfig.model_validate({'loss': 'pull', 'synthesis': 'virtual_softmax'})\n"
        "again = RunConfig.model_validate_json(run.model_dump_json())\n"  # as a worker reads it
        "print(json.dumps([run.loss.name, again == run, 'torch' in sys.modules]))\n"
    )
    done = installed("-c", code)
    assert done.stderr == "" and json.loads(done.stdout) == ["pull", True, False]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("a = no_such_module:A", "'a = no_such_module:A' in dml_study.losses of pull-parts 1.2 adds no part: ModuleNo"),
        ("a = pull_parts:Absent", "adds no part: AttributeError: module 'pull_parts' has no attribute 'Absent'"),
        ("a = pull_parts:Jitter", "adds no part: <class 'pull_parts.Jitter'> is no subclass of LossConfig"),
        ("a = pull_torch:pull", "is no subclass of LossConfig"),
    ],
)
def test_an_entry_point_that_adds_nothing_is_one_clear_error(installed: Installed, points: str, message: str) -> None:
    code = "from study.cli import main; import sys; sys.argv = ['dml-study', 'plan', 'demo']; main()"
    done = installed("-c", code, points=f"[dml_study.losses]\n{points}\n")
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


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
