"""Where things run: the choice of the device, and that nothing is left behind on another one.

A GPU is stood in for by PyTorch's fake tensors: they have a device, a shape and a type, but no numbers, and an
operation on two devices is an error as it is on a GPU. That reaches every operation of a forward pass. The backward
pass, and what reads numbers (scores, pictures as arrays, sampling), runs for real on the devices that a machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cpd.domains.images import pixart
from cpd.domains.images.domain import ImageDomain
from cpd.domains.settings import Finetuning
from cpd.domains.text.domain import TextDomain
from cpd.methods.cond_pdiff.denoiser import Denoiser
from cpd.runtime import devices

GPU = torch.device("cuda")
REAL = [
    "cpu",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("gpu", "CPD_DEVICE is 'gpu', which is no device; name cpu, cuda, cuda:1 or mps, or unset it"),
        ("cuda:x", "CPD_DEVICE is 'cuda:x', which is no device"),
        ("cuda:99", "CPD_DEVICE is 'cuda:99', which this machine has not got; unset it, or name cpu"),
    ],
)
def test_a_device_that_is_none_or_not_there_is_refused(named: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_DEVICE", named)
    with pytest.raises(ValueError, match=said):
        devices.device()


def test_the_named_device_goes_before_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_DEVICE", "cpu")
    assert devices.device() == torch.device("cpu")
    monkeypatch.delenv("CPD_DEVICE")
    assert devices.device().type == REAL[-1 if len(REAL) == 1 else 1]


def test_numbers_on_a_device_follow_from_those_on_the_cpu() -> None:
    same = torch.Generator().manual_seed(3)
    assert devices.generator_on(torch.device("cpu"), same) is same
    for name in REAL[1:]:
        where = torch.device(name)
        drawn = [
            torch.rand(4, generator=devices.generator_on(where, torch.Generator().manual_seed(seed)), device=where)
            for seed in (3, 3, 4)
        ]
        assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """Pretend that there is a GPU: what is asked for on the device is fake, what is left on the CPU is real."""
    monkeypatch.setattr(devices, "device", lambda: GPU)
    monkeypatch.setattr(devices, "precision", lambda *_: "bf16")
    monkeypatch.setattr(devices, "generator_on", lambda _, given: given)
    yield FakeTensorMode(allow_non_fake_inputs=True)


def on_gpu(mode: FakeTensorMode, module: Any) -> Any:
    """Replace the weights of a module by fake ones on the GPU."""
    with mode:
        for part in module.modules():
            for name, value in [*part._parameters.items(), *part._buffers.items()]:
                if value is not None:
                    moved = torch.empty(value.shape, dtype=value.dtype, device=GPU)
                    kept = torch.nn.Parameter(moved, value.requires_grad) if name in part._parameters else moved
                    (part._parameters if name in part._parameters else part._buffers)[name] = kept
    return module


def test_two_devices_in_one_operation_are_seen(fake: FakeTensorMode) -> None:
    with fake, pytest.raises(RuntimeError, match="devices"):
        torch.empty(3, device=GPU) + torch.empty(3)


@pytest.mark.parametrize("family", ["bert", "roberta", "deberta"])
def test_a_step_on_text_stays_on_the_device(family: str, tmp_path: Path, fake: FakeTensorMode) -> None:
    domain = TextDomain(tiny.spec(tiny.encoder(tmp_path / family, family)), tiny.CARDS)
    size, rows = domain.layout.size, [domain.rows("reviews", 0, 0), domain.rows("ratings", 0, 0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "device", lambda: torch.device("cpu"))
        base = domain.base(training=True)
    on_gpu(fake, base.model)
    with fake:
        vectors = torch.empty(2, size, device=GPU, requires_grad=True)
        losses = domain.loss(vectors, ["reviews", "ratings"], rows, None)
    assert losses.shape == (2,) and losses.device.type == "cuda" and losses.requires_grad


def test_a_step_on_pictures_stays_on_the_device(tmp_path: Path, fake: FakeTensorMode) -> None:
    pixart.small(0).save_pretrained(tmp_path)
    spec = Finetuning(suite="few_emoji", base=str(tmp_path), targets="attention", tasks=("night", "neon"), batch=2)
    domain = ImageDomain(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "device", lambda: torch.device("cpu"))
        base, size = domain.base(training=True), domain.layout.size
        for name in domain.names:
            domain.latents(name)
            domain.captions(name, "train")
    on_gpu(fake, base.model)
    with fake:
        vectors = torch.empty(2, size, device=GPU, requires_grad=True)
        losses = domain.loss(vectors, domain.names, [np.array([0, 1])] * 2, None)
    assert losses.shape == (2,) and losses.device.type == "cuda" and losses.requires_grad


def test_the_denoiser_stays_on_the_device(fake: FakeTensorMode) -> None:
    denoiser = on_gpu(fake, Denoiser(8, 4, 16, 1))
    with fake:
        z, told = torch.empty(5, 8, device=GPU), torch.empty(5, 4, device=GPU)
        t = torch.zeros(5, dtype=torch.long, device=GPU)
        assert denoiser(z, t, told, torch.zeros(5, dtype=torch.bool, device=GPU)).device.type == "cuda"


@pytest.mark.parametrize("name", REAL)
def test_scores_and_pictures_are_those_of_the_cpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On each device of this machine: text to the row, pictures to a level of 255."""
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))
    encoder = tiny.encoder(tmp_path / "bert")
    pixart.small(0).save_pretrained(tmp_path / "pixart")
    spec = Finetuning(suite="few_emoji", base=str(tmp_path / "pixart"), targets="attention", tasks=("night",))
    random = torch.Generator().manual_seed(0)

    def found(device: str) -> tuple[np.ndarray, np.ndarray]:
        monkeypatch.setenv("CPD_DEVICE", device)
        text, pictures = TextDomain(tiny.spec(encoder), tiny.CARDS), ImageDomain(spec)
        random.manual_seed(0)
        adapters = [
            each.untrained() + 0.1 * torch.randn(2, each.layout.size, generator=random) for each in (text, pictures)
        ]
        drawn = pictures.draw("night", adapters[1], "report", range(2))
        return text.predict("ratings", adapters[0], "report"), drawn.astype(float)

    (numbers, drawn), (expected, pictured) = found(name), found("cpu")
    np.testing.assert_allclose(numbers, expected, atol=1e-4)
    assert np.abs(drawn - pictured).max() <= 1
