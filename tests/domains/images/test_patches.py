"""Principal components of squares of pixels: what they must give back, and what fewer of them leave out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cpd.domains.images import base_model, emoji, pixart, styles
from cpd.domains.images.patches import EQUALIZED, PatchAutoencoder


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    drawn = [styles.render(each.svg, style, 32) for style in styles.TRAINING[:4] for each in emoji.known()[:40]]
    return pixart.as_signal(torch.from_numpy(np.stack(drawn)))


def fitted(pictures: torch.Tensor, channels: int) -> tuple[PatchAutoencoder, torch.Tensor]:
    model = PatchAutoencoder(latent_channels=channels)
    return model, model.fit(pictures)


@torch.no_grad()
def decoded(model: PatchAutoencoder, pictures: torch.Tensor) -> torch.Tensor:
    return model.decode(model.encode(pictures).latent_dist.mode()).sample


def test_all_components_give_the_pictures_back(pictures: torch.Tensor) -> None:
    model, _ = fitted(pictures, 48)
    torch.testing.assert_close(decoded(model, pictures), pictures, atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [3, 24])
def test_the_error_is_the_variance_of_the_components_left_out(pictures: torch.Tensor, channels: int) -> None:
    model, shares = fitted(pictures, channels)
    centred = pictures - pictures.mean(dim=(0, 2, 3))[:, None, None]
    lost = (decoded(model, pictures) - pictures).square().mean() / centred.square().mean()
    assert float(lost) == pytest.approx(float(shares[channels:].sum()), rel=1e-3)
    assert float(shares.sum()) == pytest.approx(1)


@torch.no_grad()
def test_channels_are_uncorrelated_and_half_way_to_equal_variance(pictures: torch.Tensor) -> None:
    model, shares = fitted(pictures, 24)
    z = model.encode(pictures).latent_dist.mode().transpose(0, 1).flatten(1)  # (24, positions)
    products = z @ z.T / z.shape[1]
    variances = products.diagonal()
    correlation = products / (variances[:, None] * variances[None]).sqrt()
    assert float((correlation - torch.eye(24)).abs().max()) < 0.01
    expected = (shares[:24] / shares[0]) ** (1 - EQUALIZED)
    torch.testing.assert_close(variances / variances[0], expected, rtol=1e-3, atol=0)


def test_a_saved_model_decodes_as_before_and_its_latents_have_variance_1(tmp_path: Path) -> None:
    model = pixart.small(0)
    base_model.fit_autoencoder(model, 0, 0)
    model.save_pretrained(tmp_path)
    loaded = pixart.from_pretrained(str(tmp_path))
    plain = base_model.plain_pictures()
    assert float(loaded.latents(plain).std()) == pytest.approx(1, abs=0.01)
    z = model.latents(plain[:8])
    assert np.abs(loaded.pictures(z).astype(int) - model.pictures(z)).max() <= 2, "half precision"
    assert loaded.size == 32
