"""Costs: memory is that of each part alone, seconds are those of the part that is named."""

import time
from pathlib import Path

import pytest

from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.study import cost

TINY = Learning(latent=8, ae_batch=16, width=16, depth=1, batch=16, condition="one_hot", ae_steps=50)
ZOO = 64 * 200_000 * 4 / 2**30  # GiB


def test_what_fits_holds_a_zoo_and_what_generates_does_not() -> None:
    found = cost.measure(200_000, TINY)
    assert found.size == 200_000
    assert found.fitting_memory > found.generating_memory + ZOO / 2


class Clock:
    """Time that passes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)


@pytest.mark.parametrize(("kind", "autoencoder"), [("linear", 30.0), ("convolutional", 30.0 + 50 * 5)])
def test_seconds_of_a_part_are_told_from_the_others(
    kind: str, autoencoder: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fit takes 30 s, 5 s a step of a convolutional autoencoder and 2 s a step of the denoiser."""
    clock, fit = Clock(monkeypatch), CondPDiff.fit

    def timed(zoo: object, learning: Learning, *given: object) -> CondPDiff:
        clock.now += 30 + 2 * learning.steps + 5 * learning.ae_steps * (learning.autoencoder == "convolutional")
        return fit(zoo, Learning(**TINY.__dict__ | {"ae_steps": 1, "steps": 1}), *given)

    monkeypatch.setattr(CondPDiff, "fit", timed)
    learning = Learning(**TINY.__dict__ | {"autoencoder": kind})
    assert cost._fitting(1000, learning, 8, tmp_path)[:2] == pytest.approx((autoencoder, 2.0))


def test_ten_adapters_are_timed_and_not_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    class Slow:
        def generate(self, condition: str, n: int, seed: int) -> None:
            clock.now += 100 if n == 1 else 0.3 * n

    monkeypatch.setattr(CondPDiff, "from_pretrained", lambda folder: Slow())
    assert cost._generating(Path())[0] == pytest.approx(3.0)


def test_sizes_end_where_a_convolutional_autoencoder_is_refused() -> None:
    given = [10**4, 2**20, 2**20 + 1]
    assert cost.sizes(Learning(autoencoder="convolutional"), given) == given[:2]
    assert cost.sizes(Learning(autoencoder="convolutional", latent=512), given) == given[:1]
    assert cost.sizes(Learning(autoencoder="linear"), given) == given
