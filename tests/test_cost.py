"""Costs: every size is measured on its own, in order, and a larger adapter is a larger process."""

from cpd.cost import measure_each
from cpd.settings import Learning


def test_sizes_come_back_in_order_and_memory_grows_with_the_adapter() -> None:
    learning = Learning(latent=8, ae_batch=16, width=16, depth=1, batch=16, condition="one_hot")
    small, large = measure_each((1_000, 200_000), learning)
    assert (small.size, large.size) == (1_000, 200_000)
    assert large.memory > small.memory + 64 * 200_000 * 4 / 2**30, "64 adapters of float32 at least"
    assert small.ten > 0 and large.ten > 0
