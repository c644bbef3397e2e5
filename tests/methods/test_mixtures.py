"""Controls that mix training adapters: closed forms, what is left out, and that they choose what is best there."""

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from synthetic import zoo

from cpd.methods import mixtures, registry
from cpd.methods.cond_pdiff.settings import Learning

TOLD = Learning(condition="one_hot")


def data(n: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    conditions = torch.randn(n, 3, generator=random)
    adapters = torch.sin(conditions @ torch.randn(3, 5, generator=random))
    return conditions, adapters, torch.randn(3, generator=random)


def test_ridge_is_kernel_ridge_regression_of_the_centred_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    conditions, adapters, asked = data()
    monkeypatch.setattr(mixtures, "PENALTIES", (0.1,))
    weights = mixtures.ridge(conditions, adapters)(asked)
    away = torch.cdist(conditions, conditions)
    width = away[~torch.eye(12, dtype=torch.bool)].median()
    mean = adapters.mean(dim=0)
    fitted = KernelRidge(alpha=0.1, kernel="rbf", gamma=float(1 / (2 * width**2))).fit(conditions, adapters - mean)
    expected = fitted.predict(asked[None])[0] + mean.numpy()
    assert np.allclose((weights @ adapters.double()).numpy(), expected, atol=1e-5)
    assert float(weights.sum()) == pytest.approx(1)


def test_ridge_chooses_the_penalty_with_the_least_error_on_an_adapter_that_is_left_out() -> None:
    conditions, adapters, _ = data()
    noise = torch.randn(adapters.shape, generator=torch.Generator().manual_seed(1))
    for given in (adapters, noise):
        errors = {}
        for penalty in mixtures.PENALTIES:
            error = 0.0
            away = torch.cdist(conditions, conditions).double()
            width = away[~torch.eye(12, dtype=torch.bool)].median()
            kernel, centred = torch.exp(-away.square() / (2 * width**2)), given.double() - given.double().mean(dim=0)
            for i in range(12):
                others = [j for j in range(12) if j != i]
                inner = kernel[others][:, others] + penalty * torch.eye(11)
                error += (
                    float((kernel[i, others] @ torch.linalg.solve(inner, centred[others]) - centred[i]).norm()) ** 2
                )
            errors[penalty] = error
        best = min(errors, key=lambda penalty: errors[penalty])
        own = mixtures.ridge(conditions, given)(conditions[0])
        only = {best}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mixtures, "PENALTIES", tuple(only))
            assert torch.allclose(own, mixtures.ridge(conditions, given)(conditions[0]))


def test_neighbours_are_averaged_and_how_many_is_chosen_by_what_is_left_out() -> None:
    conditions = torch.arange(20.0)[:, None]
    smooth, steps = conditions.repeat(1, 2), (conditions // 10).repeat(1, 2)
    near = mixtures.k_nearest(conditions, smooth)(torch.tensor([4.1]))
    assert float(near.sum()) == pytest.approx(1) and near[4] > 0 and near[19] == 0
    assert (near > 0).sum() <= 3, "adapters that change with the condition are averaged over few"
    random = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    assert (mixtures.k_nearest(conditions, random)(torch.tensor([4.1])) > 0).sum() >= 8
    assert (mixtures.k_nearest(conditions, steps)(torch.tensor([15.0]))[:10] == 0).all()


@pytest.mark.parametrize("name", list(mixtures.MIXTURES))
def test_a_fitted_mixture_writes_a_weighted_sum_of_the_zoos_adapters(name: str, tmp_path: object) -> None:
    own = zoo(tasks=3)
    fitted = registry.fit(name, own, TOLD, 0, tmp_path)  # type: ignore[arg-type]
    (written,) = fitted.generate("task1", 1, 0)
    rows = torch.stack([fitted.kept[f"task{i}"].mean(dim=0) for i in range(3)])  # type: ignore[attr-defined]
    weights = torch.linalg.lstsq(rows.T.double(), written.double()).solution
    assert torch.allclose(weights @ rows.double(), written.double(), atol=1e-5)
    assert float(weights.sum()) == pytest.approx(1, abs=1e-4)
    assert torch.equal(fitted.generate("task1", 3, 7), written.expand(3, -1))
    with pytest.raises(ValueError, match="has nothing to guide"):
        fitted.generate("task1", 1, 0, guidance=2.0)
