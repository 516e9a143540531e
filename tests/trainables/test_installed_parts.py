"""Parts of an installed distribution are found by its entry points, read without torch, and checked by `check`."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
