"""Every row is trained as torch's AdamW trains one parameter, whatever the other rows are."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cpd.runtime.many import Rows

G, T, STEPS, CLIP = 5, 7, 12, 1.0
RATES = [0.3, 0.05, 1e-2, 0.1, 0.7]
TAKES = [lambda s: True, lambda s: s % 2 == 0, lambda s: s > 4, lambda s: s in (1, 2, 9), lambda s: s < 6]


def rate(row: int, done: int) -> float:
    """Return a rate that falls, of each row another."""
    return RATES[row] / (1 + 0.1 * done)


def gradient(row: int, done: int) -> Tensor:
    """Return a gradient of size 0.01 to 30, so that some are clipped and others are not."""
    random = torch.Generator().manual_seed(100 * row + done)
    return torch.randn(T, generator=random) * 10 ** (2 * float(torch.rand((), generator=random)) - 1.5)


def start() -> Tensor:
    return torch.randn(G, T, generator=torch.Generator().manual_seed(1))


def stacked(weights: Tensor) -> Rows:
    zeros = torch.zeros(T)
    return Rows.stacked([(row, zeros, zeros) for row in weights], torch.device("cpu"))


def together(rows: list[int], weight_decay: float) -> Rows:
    """Train some rows side by side; those that a step leaves out rest."""
    made, done = stacked(start()[rows]), [0] * len(rows)
    for step in range(STEPS):
        if chosen := [i for i, row in enumerate(rows) if TAKES[row](step)]:
            gradients = torch.stack([gradient(rows[i], done[i]) for i in chosen])
            rates = [rate(rows[i], done[i]) for i in chosen]
            made.step(torch.tensor(chosen), gradients, rates, [done[i] for i in chosen], weight_decay, CLIP)
            for i in chosen:
                done[i] += 1
    return made


def alone(row: int, weight_decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """Train one row with torch's optimizer."""
    weights = nn.Parameter(start()[row])
    optimizer = torch.optim.AdamW([weights], weight_decay=weight_decay)
    for done in range(sum(map(TAKES[row], range(STEPS)))):
        weights.grad = gradient(row, done)
        nn.utils.clip_grad_norm_([weights], CLIP)
        optimizer.param_groups[0]["lr"] = rate(row, done)
        optimizer.step()
    state = optimizer.state[weights]
    return weights.detach(), state["exp_avg"], state["exp_avg_sq"]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_each_row_is_what_torchs_adamw_makes_of_it_alone(weight_decay: float) -> None:
    made = together(list(range(G)), weight_decay)
    norms = [float(gradient(row, done).norm()) for row in range(G) for done in range(6)]
    assert min(norms) < CLIP / 2 and max(norms) > 2 * CLIP, "some are clipped, others are not"
    for row in range(G):
        for found, expected in zip((made.weights, made.first, made.second), alone(row, weight_decay), strict=True):
            torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-7)
        assert (made.weights[row] - start()[row]).abs().max() > 0.01


def test_weight_decay_is_not_part_of_the_gradient() -> None:
    plain, decayed = together([0], 0.0), together([0], 0.3)
    assert torch.equal(plain.first, decayed.first) and not torch.allclose(plain.weights, decayed.weights, atol=1e-3)


def test_a_row_depends_on_no_other_row() -> None:
    everyone = together(list(range(G)), 0.1)
    for rows in ([3], [4, 0], [2, 3, 1]):
        some = together(rows, 0.1)
        for part in ("weights", "first", "second"):
            assert torch.equal(getattr(some, part), getattr(everyone, part)[rows]), part


def test_a_row_that_takes_no_step_stays_to_the_bit() -> None:
    made = stacked(start())
    made.step(torch.tensor([3, 1]), torch.ones(2, T), [0.1, 0.2], [0, 5], 0.1, CLIP)
    resting = [0, 2, 4]
    assert torch.equal(made.weights[resting], start()[resting])
    assert not made.first[resting].any() and not made.second[resting].any()
    assert bool((made.weights[[1, 3]] != start()[[1, 3]]).all())


def test_the_first_step_in_closed_form() -> None:
    """Of size ``rate`` against the sign of the gradient, after a decay of ``rate * weight_decay``."""
    made = stacked(torch.full((1, T), 2.0))
    made.step(torch.tensor([0]), torch.full((1, T), 0.1), [0.1], [0], 0.5, CLIP)
    torch.testing.assert_close(made.weights, torch.full((1, T), 2.0 * (1 - 0.1 * 0.5) - 0.1))


def test_a_gradient_is_clipped_by_the_norm_of_its_own_row() -> None:
    made = stacked(torch.zeros(2, T))
    gradients = torch.stack([torch.full((T,), 100.0), torch.full((T,), 1e-3)])
    made.step(torch.tensor([0, 1]), gradients, [0.1, 0.1], [0, 0], 0.0, CLIP)
    torch.testing.assert_close(made.first[:, 0], torch.tensor([0.1 / math.sqrt(T), 1e-4]), rtol=1e-4, atol=0)
