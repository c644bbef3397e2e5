"""Features and distances of pictures: closed forms, what must not change them, and what must."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity import feature_extractor_inceptionv3 as inception
from torchmetrics.image.fid import FrechetInceptionDistance

from cpd import features
from cpd.measures import frechet


def noise(n: int, mean: float, std: float, size: int = 4) -> torch.Tensor:
    """Features with exactly the mean ``mean`` and the covariance ``std``² I."""
    x = torch.randn(n, size, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    x -= x.mean(dim=0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return (mean + std * whitened).float()


def test_the_frechet_distance_of_two_normal_laws_is_the_closed_form() -> None:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2); for multiples of the identity that is 4 (1 - 3)^2 + 4 (1 - 2)^2."""
    found = frechet.frechet_distance(noise(50, 1.0, 1.0), noise(80, 3.0, 2.0))
    assert found == pytest.approx(4 * 4 + 4 * 1, rel=1e-4)


@pytest.mark.parametrize("rows", [(20, 30), (200, 20), (200, 300)])
def test_the_frechet_distance_is_that_of_torchmetrics(rows: tuple[int, int]) -> None:
    """Fewer pictures than features, and more."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 64, generator=generator) * torch.rand(64, generator=generator) for n in rows)
    metric = FrechetInceptionDistance(frechet._Given(64)).set_dtype(torch.float64)
    metric.update(a, real=True)
    metric.update(b + 0.1, real=False)
    assert frechet.frechet_distance(a, b + 0.1) == pytest.approx(float(metric.compute()), rel=1e-3)


def test_both_distances_are_zero_for_equal_laws_and_see_a_shift() -> None:
    a, b = noise(60, 0.0, 1.0), noise(60, 0.0, 1.0)
    assert frechet.frechet_distance(a, b) == pytest.approx(0, abs=1e-4)
    assert abs(frechet.kernel_distance(a, noise(61, 0.0, 1.0))) < 0.3 < frechet.kernel_distance(a, b + 1)


def test_a_distance_says_how_many_pictures_are_missing() -> None:
    for distance in (frechet.frechet_distance, frechet.kernel_distance):
        with pytest.raises(ValueError, match="got 5 and 1; 1 missing"):
            distance(noise(5, 0.0, 1.0), torch.zeros(1, 4))


def drawn(mode: str, file: Path) -> np.ndarray:
    """Save two squares, dark grey and white, in a mode of its own; return what is read."""
    picture = Image.new("L", (8, 4), 255)
    picture.paste(60, (0, 0, 4, 4))
    picture.convert(mode).save(file)
    return np.asarray(features.read_picture(file))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK"])
def test_a_picture_is_the_same_in_every_mode(mode: str, tmp_path: Path) -> None:
    file = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    assert np.array_equal(drawn(mode, file), drawn("RGB", tmp_path / "b.png"))


def test_what_is_transparent_is_white_and_a_camera_turned_is_turned_back(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (np.asarray(features.read_picture(tmp_path / "clear.png")) == 255).all()
    turned, exif = Image.new("RGB", (8, 4)), Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert features.read_picture(tmp_path / "turned.jpg").size == (4, 8)


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole)
    header = b"IHDR" + struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    giant = whole.read_bytes()[:8] + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    bad = {
        "empty": b"",
        "cut": whole.read_bytes()[:3000],
        "text": b"no picture",
        "giant": giant,
        "page": b"<html></html>",
    }
    for name, data in bad.items():
        (tmp_path / f"{name}.png").write_bytes(data)
        with pytest.raises(ValueError, match=rf"{name}\.png is no picture that can be read"):
            features.read_picture(tmp_path / f"{name}.png")


def test_the_kernel_distance_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    frechet.kernel_distance(noise(20, 0.0, 1.0), noise(20, 1.0, 1.0))
    assert torch.equal(before, torch.get_rng_state())


def test_features_tell_pictures_apart_and_not_how_they_are_batched() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    together = features.features(pictures)
    assert together.shape == (3, features.SIZE)
    alone = torch.cat([features.features(pictures[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)
    assert (together[0] - together[1]).norm() > 1


def test_the_weights_are_those_of_imagenet() -> None:
    """Trained: a flat grey picture and noise are different things to them; torchvision's own first kernel."""
    first = next(features._network(torch.device("cpu")).parameters())
    assert first.shape == (32, 3, 3, 3)
    assert float(first.std()) == pytest.approx(0.2, rel=0.9)
    assert not any(parameter.requires_grad for parameter in features._network(torch.device("cpu")).parameters())


@pytest.mark.parametrize(
    "pictures",
    [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3), np.float32), np.zeros((0, 8, 8, 3), np.uint8)],
)
def test_what_is_no_set_of_pictures_is_refused(pictures: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"pictures are \(n, h, w, 3\) of uint8, at least one; got"):
        features.features(pictures)


def test_the_published_fid_needs_its_weights_by_name_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features._inception.cache_clear()
    monkeypatch.delenv("CPD_INCEPTION", raising=False)
    with pytest.raises(FileNotFoundError, match="name their file in CPD_INCEPTION"):
        features.inception(np.zeros((2, 8, 8, 3), np.uint8))
    monkeypatch.setenv("CPD_INCEPTION", str(tmp_path / "weights.pth"))
    with pytest.raises(FileNotFoundError, match=r"weights\.pth.* which is no file"):
        features.inception_weights()
    (tmp_path / "weights.pth").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="torch-fidelity's weights begin with 6726825d"):
        features.inception(np.zeros((2, 8, 8, 3), np.uint8))


def test_inceptions_features_come_from_the_file_and_are_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights of the network's shapes stand for the real ones, which no wheel has."""
    features._inception.cache_clear()
    file = tmp_path / "weights.pth"
    monkeypatch.setenv("CPD_INCEPTION", str(file))
    monkeypatch.setattr(features, "INCEPTION_SHA256", "")
    with monkeypatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = inception.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(network.state_dict(), file)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    found = features.inception(pictures)
    expected = network(torch.from_numpy(pictures).permute(0, 3, 1, 2))[0]
    torch.testing.assert_close(found, expected)
    assert found.shape == (2, 2048)
    features._inception.cache_clear()
    torch.save({"weights": features.Path}, file)
    with pytest.raises(Exception, match="weights_only|Weights only"):
        features.inception(pictures)
    features._inception.cache_clear()
