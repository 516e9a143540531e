"""The memory of a GPU that is not there: shares, peaks, and what counts as running out of it."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from trainables.config import RunConfig
from trainables.ledger import Ledger
from trainables.strategies.plain import Plain
from trainables.training import gpu_memory
from trainables.training.fit import Fit
from trainables.training.probe import needed_memory
from trainables.training.session import Session, SessionOptions

GIB = 2**30
OUT = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Makes torch believe in a GPU of 40 GiB; returns what it was asked to do."""
    asked: list[str] = []
    properties = SimpleNamespace(name="Fake", total_memory=40 * GIB)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30 * GIB, 40 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: GIB)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: asked.append("reset"))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share: asked.append(f"{share:.4f}"))
    return asked


def test_a_process_is_kept_to_its_share_less_what_cuda_takes(gpu: list[str]) -> None:
    gpu_memory.limit_memory(0.25)
    assert gpu == ["0.2354"]  # 10 GiB less 600 MiB
    gpu_memory.limit_memory(0.01)
    assert gpu[1:] == ["0.0050"]
    gpu_memory.limit_memory(1.0)
    gpu_memory.limit_memory(0.0)
    assert len(gpu) == 2


def test_what_the_last_run_left_is_given_back(gpu: list[str]) -> None:
    assert gpu_memory.free_memory() == GIB
    assert gpu == ["empty", "reset"]


def test_the_peak_and_what_cuda_takes_are_the_need(gpu: list[str]) -> None:
    assert gpu_memory.peak_memory() == 3 * GIB
    assert gpu_memory.needed_of_gpu() == 3 * GIB + gpu_memory.CONTEXT_BYTES
    assert gpu_memory.describe_gpu() == ("Fake", 40 * GIB)


def test_without_a_gpu_there_is_nothing_to_limit_free_or_measure() -> None:
    gpu_memory.limit_memory(0.5)
    assert (gpu_memory.free_memory(), gpu_memory.peak_memory(), gpu_memory.needed_of_gpu()) == (0, None, None)
    assert gpu_memory.describe_gpu() == ("GPU", 0)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OUT, True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (MemoryError(), False),
    ],
)
def test_running_out_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert gpu_memory.is_out_of_memory(error) is expected


def test_an_error_that_running_out_caused_counts_as_that() -> None:
    try:
        try:
            raise OUT
        except RuntimeError as error:
            raise ValueError("the features of a.jpg cannot be computed") from error
    except ValueError as error:
        assert gpu_memory.is_out_of_memory(error)


def session(run: RunConfig, folder: Path, cache: Path, *, gpus: float) -> Session:
    ledger = Ledger.open(folder / "results", create=True)
    options = SessionOptions(study="s", cache=cache, generation=1, checkpoint_seconds=0, gpus=gpus)
    return Session(run, ledger=ledger, options=options)


def train(session: Session) -> Session:
    while not session.done:
        session.step()
    return session


@pytest.fixture
def out_in_epoch_3(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Fit.train_epoch

    def train_epoch(self: Fit) -> object:
        if self.epoch == 2:
            raise OUT
        return whole(self)

    monkeypatch.setattr(Fit, "train_epoch", train_epoch)


def test_a_run_out_of_a_share_is_not_committed_and_goes_on_from_its_checkpoint(
    tiny_run: RunConfig, tmp_path: Path, private_cache: Path, out_in_epoch_3: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):  # more often than a worker may die
        ended = train(session(tiny_run, tmp_path, private_cache, gpus=0.5))
        assert (ended.status, ended.ledger.commits(), ended.ledger.list("live/")) == ("out_of_memory", {}, [])
        assert "0.5 of a GPU has too little memory" in ended.lines[-1]
    monkeypatch.undo()
    ended = train(session(tiny_run, tmp_path, private_cache, gpus=1.0))
    assert (ended.status, ended.epochs_done) == ("complete", 4)
    assert any("continues after epoch 2" in line for line in ended.lines)


def test_a_run_for_which_a_whole_gpu_is_too_small_fails_and_says_what_helps(
    tiny_run: RunConfig, tmp_path: Path, private_cache: Path, out_in_epoch_3: None, gpu: list[str]
) -> None:
    ended = train(session(tiny_run, tmp_path, private_cache, gpus=1.0))
    (row,) = ended.ledger.read("runs").to_pylist()
    assert (row["status"], row["epochs_trained"]) == ("failed", 2)
    assert "Tried to allocate 2.00 GiB" in row["error"]
    assert row["error"].splitlines()[-1] == (
        "OutOfMemoryError: the run had a whole GPU (Fake, 40 GiB), and its memory is too small: lower "
        "training.batch_size, the size of images or embedding_dim, train in bfloat16 (training.precision), or take a "
        "larger GPU"
    )


def test_other_failures_of_a_run_on_a_share_are_its_own(
    tiny_run: RunConfig, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Fit) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(Fit, "train_epoch", fails)
    ended = train(session(tiny_run, tmp_path, private_cache, gpus=0.25))
    assert (ended.status, "larger GPU" in ended.lines[-1]) == ("failed", False)


def test_a_probe_takes_a_few_real_steps_and_an_evaluation(
    tiny_run: RunConfig, tmp_path: Path, private_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Ledger.open(tmp_path / "results", create=True).location
    steps, evaluated = list[int](), list[int]()
    whole, outcome = Fit.train_epoch, Plain.outcome

    def train_epoch(self: Fit) -> object:
        stats = whole(self)
        steps.append(stats.steps)
        return stats

    def counted(self: Plain) -> object:
        found = outcome(self)
        evaluated.append(len(found.test_embeddings) if found.test_embeddings is not None else 0)
        return found

    monkeypatch.setattr(Fit, "train_epoch", train_epoch)
    monkeypatch.setattr(Plain, "outcome", counted)
    session = {"ledger": results, "cache": str(private_cache), "plugins": [], "nodes": "one"}
    assert needed_memory(tiny_run.model_dump_json(), session=session) is None, "there is no GPU"
    assert steps == [4]
    assert evaluated == [96], "all test images"
    monkeypatch.setattr("trainables.training.probe.needed_of_gpu", lambda: 5 * GIB)
    monkeypatch.setenv("AWS_REGION", "")
    monkeypatch.delenv("AWS_REGION")
    lacking = {"AWS_REGION": "here"}
    assert needed_memory(tiny_run.model_dump_json(), session=session, environment=lacking) == 5 * GIB
    assert os.environ["AWS_REGION"] == "here", "the driver's, on a node of a cluster"
