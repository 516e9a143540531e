"""MemVir by hand: its losses, its curriculum and its warm-up."""

import math
from typing import Any

import pytest
import torch
from memvir_problem import built

from trainables.batch import Batch
from trainables.losses.config import NormSoftmax
from trainables.step import Step

ln = math.log
E1, E2 = (1.0, 0.0), (0.0, 1.0)
ODD = ([(5.0, 0.0), (0.0, 3.0)], [0, 1], [E1, E2])
"""Raw embeddings, labels and weights of steps 1, 3, 5, 7: x = (e1, e2), W = (e1, e2)."""
SCRIPT = [
    ODD,
    ([(0.0, 7.0)], [0], [(-1.0, 0.0), E2]),
    ODD,
    ([(2.0, 0.0), (9.0, 0.0)], [1, 0], [(-1.0, 0.0), E2]),
    ODD,
    ([(0.0, 0.1)], [1], [(-1.0, 0.0), E2]),
    ODD,
]
"""Steps 1..7; 2 and 6 have one row. All directions are axes, so at the scale ln 2 every exp(logit) is 1/2, 1 or 2."""

BY_HAND = {
    "virtual_classes": [
        ln(3 / 2),  # 1: nothing is stored; each row has exps (2, 1), target 2
        ln(3),  # 2: only step 1, of age 1, is stored; exps (1, 2), target 1
        ln(3),  # 3: with step 1: weights e1 e2 e1 e2, exps 2 1 2 1 = 6, every target 2
        # 4: with step 2: weights -e1 e2 -e1 e2. Rows e1 of class 1 and 0: exps 1/2 1 1/2 1 = 3, targets 1 and 1/2;
        # row e2 of class 0 + 2: exps 1 2 1 2 = 6, target 1
        (ln(3) + ln(6) + ln(6)) / 3,
        ln(9 / 2),  # 5: with steps 3 and 1: three blocks, exps 9, every target 2
        # 6: with steps 4 and 2: three blocks -e1 e2. Row e2 of class 1: exps 9, target 2. Step 4: rows e1 of classes
        # 1 + 2 and 0 + 2: exps 9/2, targets 1 and 1/2. Step 2: row e2 of class 0 + 4: exps 9, target 1
        (ln(9 / 2) + ln(9 / 2) + ln(9) + ln(9)) / 4,
        ln(9 / 2),  # 7: with steps 5 and 3; step 1 was dropped
    ],
    "weights": [
        ln(3 / 2),
        ln(3),
        ln(3),
        (ln(3) + ln(6)) / 2,  # 4: its own two rows alone
        ln(9 / 2),
        ln(9 / 2),  # 6: its own row alone
        ln(9 / 2),
    ],
    "embeddings": [
        ln(3 / 2),
        ln(3),
        ln(3 / 2),  # 3: rows e1 e2 e1 e2 against e1 e2, exps 3, every target 2
        # 4: rows e1 of classes 1 and 0: exps 1/2 1, targets 1 and 1/2; row e2 of class 0: exps 1 2, target 1
        (ln(3 / 2) + ln(3) + ln(3)) / 3,
        ln(3 / 2),
        # 6: row e2 of class 1: exps 1 2, target 2; then the three rows of step 4's calculation
        (ln(3 / 2) + ln(3 / 2) + ln(3) + ln(3)) / 4,
        ln(3 / 2),
    ],
}
ROWS, OWN = [2, 1, 4, 3, 6, 4, 6], [2, 1, 2, 2, 2, 1, 2]
"""All rows and the present ones of each step, where embeddings are remembered."""


def played(steps: list[Step], **fields: Any) -> tuple[list[float], list[dict[str, float]]]:
    """Losses and metrics of the script; the weights change in place, as an optimiser changes them."""
    synthesis, base = built(NormSoftmax(scale=ln(2)), classes=2, dim=2, steps=2, gap=1, **fields)
    assert base.proxies is not None
    losses, metrics = [], []
    for number, (step, (embeddings, labels, weights)) in enumerate(zip(steps, SCRIPT, strict=True), start=1):
        with torch.no_grad():
            base.proxies.copy_(number * torch.tensor(weights, dtype=torch.float64))
        batch = Batch(torch.tensor(embeddings, dtype=torch.float64), torch.tensor(labels), base.classes)
        losses.append(synthesis.loss(base, batch, step).item())
        metrics.append(synthesis.epoch_metrics())
    return losses, metrics


ONE_EPOCH = [Step(0, 0, index) for index in range(7)]
THREE_EPOCHS = [Step(0, index // 3, index % 3) for index in range(7)]


@pytest.mark.parametrize("memory", list(BY_HAND))
@pytest.mark.parametrize("steps", [ONE_EPOCH, THREE_EPOCHS], ids=["one epoch", "three epochs"])
def test_by_hand(memory: str, steps: list[Step]) -> None:
    losses, metrics = played(steps, memory=memory)
    assert losses == pytest.approx(BY_HAND[memory], abs=1e-12)
    blocks = [1, 1, 2, 2, 3, 3, 3] if memory != "embeddings" else [1] * 7
    assert [m["synthesis_classes"] for m in metrics] == [2.0 * block for block in blocks]
    assert [m["synthesis_rows"] for m in metrics] == (OWN if memory == "weights" else ROWS)


@pytest.mark.parametrize("memory", list(BY_HAND))
def test_mean_over_current_rows(memory: str) -> None:
    rows = OWN if memory == "weights" else ROWS
    expected = [loss * total / own for loss, total, own in zip(BY_HAND[memory], rows, OWN, strict=True)]
    assert played(ONE_EPOCH, memory=memory, reduction="mean_current")[0] == pytest.approx(expected, abs=1e-12)


def test_jump_waits_for_a_full_queue() -> None:
    """Steps 3 and 4 are the base loss: ln 3/2, and (ln 3/2 + ln 3) / 2 from exps 1/2 1 and targets 1 and 1/2."""
    expected = [*BY_HAND["virtual_classes"]]
    expected[2:4] = [ln(3 / 2), (ln(3 / 2) + ln(3)) / 2]
    losses, metrics = played(ONE_EPOCH, curriculum="jump")
    assert losses == pytest.approx(expected, abs=1e-12)
    assert [m["synthesis_classes"] for m in metrics] == [2, 2, 2, 2, 6, 6, 6]


def test_nothing_is_stored_in_the_warm_up() -> None:
    """Steps 1 to 3 are warm-up; so 6 is the first with a past step, number 4, and 7 has number 5."""
    steps = [Step(0, 0, index) for index in range(3)] + [Step(0, 1, index) for index in range(4)]
    losses, metrics = played(steps, warmup_epochs=1)
    assert [m["synthesis_classes"] for m in metrics] == [2, 2, 2, 2, 2, 4, 4]
    six = (ln(3) + ln(3) + ln(6)) / 3  # row e2 of class 1: exps 6, target 2; rows e1: exps 3, targets 1 and 1/2
    assert losses[2] == pytest.approx(ln(3 / 2), abs=1e-12)
    assert losses[5:] == pytest.approx([six, ln(3)], abs=1e-12)
