"""Costs: memory is that of each part alone."""

from cpd.methods.cond_pdiff.settings import Learning
from cpd.study.cost import measure


def test_what_fits_holds_a_zoo_and_what_generates_does_not() -> None:
    learning = Learning(latent=8, ae_batch=16, width=16, depth=1, batch=16, condition="one_hot")
    cost = measure(200_000, learning)
    assert cost.size == 200_000
    assert cost.fitting_memory > cost.generating_memory + 64 * 200_000 * 4 / 2**30, "64 adapters of float32 at least"
    assert cost.ten > 0
