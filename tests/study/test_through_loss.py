"""COND P-DIFF through the loss: before it learns it is the generator, and the loss reaches all of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import synthetic
import torch

from cpd.diffusion import noise_generators
from cpd.domains.images.domain import ImageDomain
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.study.unseen.through_loss import SAMPLER_STEPS, Sampler, _lesson, spread, write

QUICK = Learning(latent=4, width=32, depth=1, steps=30, batch=8)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> CondPDiff:
    return CondPDiff.fit(synthetic.zoo(), QUICK, 0, tmp_path_factory.mktemp("fit"))


def test_before_it_learns_it_writes_what_the_generator_writes(fitted: CondPDiff) -> None:
    condition = next(iter(fitted.conditions.values()))[0]
    written = write(Sampler(fitted), condition.expand(3, -1), seed=5)
    torch.testing.assert_close(written, fitted.generate(condition, 3, seed=5, steps=SAMPLER_STEPS))


def test_the_loss_reaches_denoiser_and_decoder_and_leaves_the_generator_alone(fitted: CondPDiff) -> None:
    condition = next(iter(fitted.conditions.values()))[:1]
    sampler, before = Sampler(fitted), fitted.generate(condition[0], 1, 0)
    adapters = sampler(condition, noise_generators(0, 1))
    goal = adapters.detach() + 0.1
    optimizer = torch.optim.SGD(sampler.parameters(), lr=1e-3)
    loss = (adapters - goal).square().sum()
    loss.backward()
    moved = {name for name, p in sampler.named_parameters() if p.grad is not None and p.grad.any()}
    assert {"components", "center", "denoiser.enter.weight", "denoiser.leave.weight", "denoiser.told.weight"} <= moved
    optimizer.step()
    assert (sampler(condition, noise_generators(0, 1)) - goal).square().sum() < loss
    assert torch.equal(fitted.generate(condition[0], 1, 0), before)


def test_a_style_is_told_by_pictures_that_it_is_not_tried_on() -> None:
    class Styled(SimpleNamespace):
        asked_about = ImageDomain.asked_about

    styled = Styled(real=lambda task, split: torch.eye(16), latents=lambda task: torch.zeros(24, 1))
    random = np.random.default_rng(0)
    for _ in range(20):
        seen, rows = _lesson(styled, "night", 4, 8, random)  # type: ignore[arg-type]
        told = set(seen.nonzero().flatten().tolist())
        assert len(told) == 4 and len(set(rows.tolist())) == 8 and not told & set(rows.tolist())
        assert float(seen.sum()) == pytest.approx(1)


def test_spread_is_0_where_noise_decides_nothing_and_1_where_the_condition_does() -> None:
    random = torch.Generator().manual_seed(0)
    conditions, noise = (torch.randn(40, 500, generator=random), torch.randn(6, 40, 500, generator=random))
    assert spread(conditions.expand(6, -1, -1)) == 0
    assert spread(noise) == pytest.approx(1, abs=0.02)
    assert spread(conditions + noise) == pytest.approx(0.5**0.5, abs=0.02)
