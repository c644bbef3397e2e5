"""Convolutional autoencoder: any length, scale is seen, noise in training only, standardized latents; it can fit."""

import pytest
import torch
from torch.nn import functional

from cpd.methods.cond_pdiff import convolutional as module
from cpd.methods.cond_pdiff.convolutional import ConvolutionalAutoencoder


def make(size: int = 500, latent: int = 8, seed: int = 0, **noise: float) -> ConvolutionalAutoencoder:
    torch.manual_seed(seed)
    return ConvolutionalAutoencoder(size, latent, **noise)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 10_007])
def test_any_length_in_the_same_length_out(size: int) -> None:
    net, x = make(size).eval(), torch.randn(3, size)
    assert net.encode(x).shape == (3, 8)
    assert net(x).shape == (3, size)


def test_b2_the_latent_sees_scale_and_shift() -> None:
    net, x = make().eval(), torch.randn(1, 500)
    z = net.encode(x)
    for other in (10 * x, 0.1 * x, x + 3, -x):
        assert (net.encode(other) - z).norm() / z.norm() > 0.1
    steps = net.encode(x + torch.linspace(1, 3, 5)[:, None])  # points along a straight drift keep different codes
    assert torch.pdist(steps).min() / z.norm() > 0.02


def test_noise_in_training_only_and_only_from_the_generator() -> None:
    net, x = make(), torch.randn(4, 500)
    net.train()
    first, again = (net(x, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, net(x, torch.Generator().manual_seed(2)))
    net.eval()
    assert torch.equal(net(x), net(x))
    net.train()
    net.input_noise = net.latent_noise = 0.0
    torch.testing.assert_close(net(x, torch.Generator()), net.eval()(x))


def test_latent_noise_is_measured_in_units_of_the_latent() -> None:
    net, x = make(input_noise=0.0).train(), torch.randn(64, 500)
    with torch.no_grad():
        clean = net._expand(net._compress(x))
        small = (net(x, torch.Generator().manual_seed(0)) - clean).norm() / clean.norm()
        net.to_latent.weight *= 10
        net.to_latent.bias *= 10
        net.from_latent.weight /= 10
        large = (net(x, torch.Generator().manual_seed(0)) - clean).norm() / clean.norm()
    torch.testing.assert_close(small, large, rtol=1e-3, atol=0)


def test_standardized_latents_have_mean_0_and_deviation_1_and_decode_the_same() -> None:
    net, x = make().eval(), torch.randn(40, 500) + 1
    with torch.no_grad():
        before, latents = net(x), net.encode(x)
        z = net.standardize(latents)
        torch.testing.assert_close(net.encode(x), z, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(net(x), before, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(net.standardize(z), z, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(z.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(8), atol=1e-5, rtol=0)


def test_a_latent_that_never_moves_becomes_0_not_nan() -> None:
    net = make().eval()
    assert torch.equal(net.standardize(torch.ones(5, 8)), torch.zeros(5, 8))


def test_segments_change_neither_result_nor_gradient(monkeypatch) -> None:
    x, results = torch.randn(2, 3000), []
    for segment in (2**20, 256):
        monkeypatch.setattr(module, "SEGMENT", segment)
        net = make(3000)
        loss = net(x, torch.Generator().manual_seed(0)).square().mean()
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in net.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_weights_grow_linearly_and_beyond_the_budget_it_is_refused() -> None:
    with torch.device("meta"):
        small, large, largest = (ConvolutionalAutoencoder(size, 256) for size in (10**4, 10**5, 2**20))
        with pytest.raises(ValueError, match=r'1,048,577 parameters .* at most 268,435,456 .* autoencoder="linear"'):
            ConvolutionalAutoencoder(2**20 + 1, 256)
    counts = [sum(p.numel() for p in each.parameters()) for each in (small, large, largest)]
    assert counts[1] <= 10 * counts[0] and counts[2] <= 10.6 * counts[1]
    assert largest.from_latent.weight.numel() == module.LINEAR_BUDGET, "as many features as coordinates"


def test_it_can_write_any_vector() -> None:
    """Unstructured vectors, as many as half the latent: a decoder with too few features cannot fit them."""
    torch.manual_seed(0)
    net, x = ConvolutionalAutoencoder(600, 16).train(), torch.randn(8, 600)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for step in range(150):
        loss = functional.mse_loss(net(x, torch.Generator().manual_seed(step)), x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert functional.mse_loss(net.eval()(x), x) < 0.02
