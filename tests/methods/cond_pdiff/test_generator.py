"""CondPDiff: the condition does the work, equal seeds give equal bytes, resuming equals not stopping, whole files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import Zoo, centres, zoo

from cpd.methods.cond_pdiff import convolutional, fitting, generator
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.cond_pdiff.settings import Learning
from cpd.methods.method import WEIGHTS
from cpd.runtime.training import train

QUICK = Learning(latent=8, ae_steps=6, ae_batch=8, width=32, depth=1, steps=8, batch=16, condition="one_hot")
LONG = {"ae_steps": 250, "ae_learning_rate": 3e-3, "steps": 600, "width": 64, "depth": 2, "batch": 64}


@pytest.fixture(scope="module", params=["linear", "convolutional"])
def good(request, tmp_path_factory) -> tuple[CondPDiff, Zoo]:
    torch.set_num_threads(1)
    made, learning = zoo(), replace(QUICK, autoencoder=request.param, learning_rate=3e-3, **LONG)
    return CondPDiff.fit(made, learning, 0, tmp_path_factory.mktemp("fit")), made


def quick(folder: Path, made: Zoo | None = None, seed: int = 0, **changes) -> CondPDiff:
    return CondPDiff.fit(made or zoo(), replace(QUICK, **changes), seed, folder)


def trained(name: str) -> str:
    """Return a weight of the network that an autoencoder is, or of the denoiser where it is linear."""
    return "autoencoder/to_latent.weight" if name == "convolutional" else "denoiser/enter.weight"


def nearest_task(made: Zoo, vectors: torch.Tensor) -> list[str]:
    return [made.tasks[i] for i in torch.cdist(vectors, centres(made)).argmin(dim=1)]


def weights(fitted: CondPDiff) -> dict[str, torch.Tensor]:
    return fitted._tensors()


def assert_same(a: CondPDiff, b: CondPDiff) -> None:
    assert weights(a).keys() == weights(b).keys()
    for name, tensor in weights(a).items():
        assert torch.equal(tensor, weights(b)[name]), name


def test_generated_adapters_are_of_the_task_that_the_condition_names(good) -> None:
    fitted, made = good
    for task in made.tasks:
        assert nearest_task(made, fitted.generate(task, 20, seed=1)) == [task] * 20


def test_without_a_condition_both_tasks_appear(good) -> None:
    fitted, made = good
    assert set(nearest_task(made, fitted.generate(None, 40, seed=1))) == set(made.tasks)


def test_b5_autoencoder_and_diffusion_in_one_run_reconstruct(good) -> None:
    fitted, made = good
    index = made.training()
    x = torch.from_numpy(made.vectors[index])
    back = fitted.reconstruct(x)
    error = (fitted.normalizer.normalize(back) - fitted.normalizer.normalize(x)).square().mean()
    assert error < 0.15
    losses = {"autoencoder": 8 if fitted.learning.autoencoder == "linear" else 250, "diffusion": 600}
    assert {name: len(each) for name, each in fitted.history.items()} == losses
    z = fitted.encode(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.square().mean(), torch.tensor(1.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(fitted.decode(z), back)


def test_a_coordinate_that_never_moves_is_stored_and_not_learned(good) -> None:
    fitted, made = good
    assert torch.equal(fitted.generate("task0", 3, 0)[:, -1], torch.full((3,), 0.25))
    assert fitted.autoencoder.size == made.layout.size - 1


def test_a_null_condition_that_was_never_learned_is_refused(tmp_path) -> None:
    fitted = quick(tmp_path, cond_drop=0.0)
    assert fitted.generate("task0", 1, 0).isfinite().all()
    for asked in ({"condition": None}, {"condition": "task0", "guidance": 2.0}):
        with pytest.raises(ValueError, match="the null condition was never learned"):
            fitted.generate(n=1, seed=0, **asked)
    with pytest.raises(ValueError, match="guidance must be a finite number, got nan"):
        fitted.generate("task0", 1, 0, guidance=float("nan"))
    assert quick(tmp_path / "b", condition="none", cond_drop=0.0).generate(None, 1, 0).isfinite().all()


def test_guidance_1_is_off_and_other_scales_are_not(good) -> None:
    fitted, _ = good
    off, one, strong = (fitted.generate("task0", 2, 0, **kw) for kw in ({}, {"guidance": 1.0}, {"guidance": 3.0}))
    assert torch.equal(off, one)
    assert not torch.allclose(off, strong, atol=1e-5)


def test_an_adapter_does_not_depend_on_how_many_are_generated(good) -> None:
    fitted, _ = good
    torch.testing.assert_close(fitted.generate("task1", 9, 5)[:2], fitted.generate("task1", 2, 5), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(fitted.generate("task1", 1, 6), fitted.generate("task1", 1, 5), atol=1e-5)


def test_b7_generating_leaves_the_global_random_state_alone(good) -> None:
    fitted, _ = good
    torch.manual_seed(0)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    fitted.generate("task0", 2, 0)
    fitted.untrained().generate("task0", 2, 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)


@pytest.mark.parametrize("autoencoder", ["linear", "convolutional"])
@pytest.mark.parametrize("normalization", ["shared", "per_task", "none"])
def test_saved_and_loaded_it_generates_the_same_bytes(normalization: str, autoencoder: str, tmp_path) -> None:
    how = {"normalization": normalization, "autoencoder": autoencoder}
    fitted = quick(tmp_path / "fit", condition="description", **how)
    loaded = CondPDiff.from_pretrained(fitted.save_pretrained(tmp_path / "saved"))
    assert_same(fitted, loaded)
    assert (loaded.layout, loaded.learning, loaded.texts) == (fitted.layout, fitted.learning, fitted.texts)
    one, other = (g.generate("task1", 3, 7, guidance=2.0, task="task1") for g in (fitted, loaded))
    assert torch.equal(one, other)
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        "generator.json", "generator.safetensors", "manifest.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "saved" / "generator.json").read_text())["versions"]["torch"] in torch.__version__


@pytest.mark.parametrize("kind", ["linear", "convolutional"])
def test_equal_seeds_give_equal_bytes_and_others_do_not(kind: str, tmp_path) -> None:
    a, b, c = (quick(tmp_path / name, seed=seed, autoencoder=kind) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert_same(a, b)
    assert not torch.equal(weights(a)[trained(kind)], weights(c)[trained(kind)])
    files = [g.save_pretrained(tmp_path / name) for g, name in ((a, "x"), (b, "y"))]
    for name in ("generator.json", "generator.safetensors", "manifest.json"):
        assert (files[0] / name).read_bytes() == (files[1] / name).read_bytes()


@pytest.mark.parametrize(
    ("kind", "network"), [("convolutional", "autoencoder"), ("convolutional", "denoiser"), ("linear", "denoiser")]
)
def test_b8_an_interrupted_fit_resumes_and_ends_with_the_same_bytes(
    kind: str, network: str, tmp_path, monkeypatch
) -> None:
    class Killed(Exception):
        pass

    def dying(module, loss, plan, seed, state, label, **more):
        def die(done: int) -> None:
            if label == network and done == 5:
                raise Killed

        return train(module, loss, replace(plan, save_every=2), seed, state, label, on_step=die)

    def steady(module, loss, plan, seed, state, label, **more):
        return train(module, loss, replace(plan, save_every=2), seed, state, label)

    monkeypatch.setattr(fitting, "train", steady)
    whole = quick(tmp_path / "whole", autoencoder=kind)
    monkeypatch.setattr(fitting, "train", dying)
    with pytest.raises(Killed):
        quick(tmp_path / "parts", autoencoder=kind)
    monkeypatch.setattr(fitting, "train", steady)
    assert_same(quick(tmp_path / "parts", autoencoder=kind), whole)


def test_a_changed_zoo_or_setting_is_not_resumed_from_the_old_state(tmp_path) -> None:
    for kind in ("linear", "convolutional"):
        quick(tmp_path / "fit", autoencoder=kind)
    changed = zoo()
    changed.vectors[0, 0] += 1
    assert_same(quick(tmp_path / "fit", changed), quick(tmp_path / "fresh", changed))
    noiseless = {"latent_noise": 0.0, "autoencoder": "convolutional"}
    assert_same(quick(tmp_path / "fit", **noiseless), quick(tmp_path / "fresh", **noiseless))


def test_b4_the_untrained_generator_is_no_live_reference_to_the_trained_one(tmp_path) -> None:
    fitted = quick(tmp_path / "a", ema=0.9, autoencoder="convolutional")
    bare = fitted.untrained()
    for name in ("autoencoder/to_latent.weight", "denoiser/enter.weight"):
        assert not torch.equal(weights(bare)[name], weights(fitted)[name])
    kept = fitted.generate("task0", 1, 0)
    with torch.no_grad():
        bare.autoencoder.to_latent.weight.zero_()
        bare.denoiser.enter.weight.zero_()
    assert torch.equal(fitted.generate("task0", 1, 0), kept)
    assert torch.equal(bare.normalizer.mean, fitted.normalizer.mean)


def test_an_untrained_generator_keeps_what_is_not_trained(tmp_path) -> None:
    fitted = quick(tmp_path)
    bare = fitted.untrained()
    for name, tensor in weights(bare).items():
        if name.startswith(("normalizer/", "autoencoder/")):
            assert torch.equal(tensor, weights(fitted)[name]), name
    assert not torch.equal(weights(bare)["denoiser/leave.weight"], weights(fitted)["denoiser/leave.weight"])


def test_a_vector_too_long_for_a_convolutional_autoencoder_is_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(convolutional, "LINEAR_BUDGET", 1000)
    with pytest.raises(ValueError, match=r'needs 1,192 weights in one layer, .*; choose autoencoder="linear"'):
        quick(tmp_path, autoencoder="convolutional")
    assert not list(tmp_path.iterdir()), "nothing half written"
    assert quick(tmp_path).generate("task0", 1, 0).isfinite().all()


def test_fewer_rows_than_latents_give_fewer_latents(tmp_path) -> None:
    made = zoo(keep=2)
    fitted = quick(tmp_path, made, latent=100)
    assert fitted.latent == fitted.encode(torch.from_numpy(made.vectors)).shape[1] == len(made.training()) - 1
    again = CondPDiff.from_pretrained(fitted.save_pretrained(tmp_path / "saved"))
    assert torch.equal(again.generate("task1", 2, 0), fitted.generate("task1", 2, 0))


def test_nothing_held_out_is_learned_from(tmp_path) -> None:
    made, moved = zoo(), zoo()
    held_out = [i for i in range(len(made.rows)) if i not in made.training()]
    moved.vectors[held_out] += 1
    assert_same(quick(tmp_path / "a", made), quick(tmp_path / "b", moved))


def test_the_zoo_is_read_and_never_changed(tmp_path) -> None:
    made = zoo()
    file = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=made.vectors.shape)
    file[:] = made.vectors
    file.flush()
    mapped = replace(made, vectors=np.memmap(tmp_path / "vectors", np.float32, "r", shape=made.vectors.shape))
    assert_same(quick(tmp_path / "a", mapped), quick(tmp_path / "b", made))


def test_the_authors_arm_runs(tmp_path) -> None:
    arm = {"normalization": "per_task", "prediction": "epsilon", "betas": "linear", "cond_drop": 0.0, "ema": 0.0}
    fitted = quick(tmp_path, **arm)
    samples = fitted.generate("task0", 2, 0, steps=1000, sampler="ddpm", task="task0")
    assert samples.shape == (2, fitted.layout.size)
    assert bool(samples.isfinite().all())
    with pytest.raises(ValueError, match=r"say whose statistics .* task=, one of task0, task1; got None"):
        fitted.generate("task0", 1, 0)
    with pytest.raises(ValueError, match="got 'task9'"):
        fitted.generate("task0", 1, 0, task="task9")


def test_a_condition_is_a_task_a_text_a_vector_or_nothing(tmp_path) -> None:
    fitted = quick(tmp_path, condition="description")
    text = fitted.texts["task1"][0]
    for given in ("task1", text, fitted.conditions["task1"][0]):
        torch.testing.assert_close(fitted.condition(given), fitted.conditions["task1"][0])
    assert fitted.condition(None) is None
    assert fitted.condition("something never seen").shape == (384,)
    with pytest.raises(ValueError, match="condition text is empty"):
        fitted.generate(" ", 1, 0)
    with pytest.raises(ValueError, match=r"needs shape \(384,\) and finite values, got \(3,\)"):
        fitted.generate(torch.zeros(3), 1, 0)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        fitted.generate("task0", 0, 0)


def test_a_task_with_several_conditions_learns_from_all_of_them() -> None:
    conditions = {"a": torch.zeros(1, 1), "b": torch.tensor([[1.0], [2.0], [3.0]])}
    table = fitting._ConditionTable(conditions, ["a", "b"], noise=0.0)
    drawn = table(torch.tensor([0, 1] * 300), torch.Generator().manual_seed(0)).flatten()
    assert drawn[::2].unique().tolist() == [0]
    assert all(70 < int((drawn[1::2] == value).sum()) < 130 for value in (1, 2, 3))


def test_conditions_are_blurred_as_far_as_those_of_their_task_differ() -> None:
    conditions = {"a": torch.tensor([[5.0, 1.0]]), "b": torch.tensor([[0.0, 3.0], [2.0, 3.0]])}
    table = fitting._ConditionTable(conditions, ["a", "b"], noise=2.0)
    drawn = table(torch.tensor([0, 1] * 2000), torch.Generator().manual_seed(0))
    assert drawn[::2].unique(dim=0).tolist() == [[5.0, 1.0]]
    assert drawn[1::2, 1].unique().tolist() == [3.0]
    own = drawn[1::2, 0] - 1  # values of variance 1, and noise of twice their deviation
    assert abs(float(own.mean())) < 0.2 and abs(float(own.var()) - 5.0) < 0.5


def test_unconditional_and_one_hot(tmp_path, good) -> None:
    free = quick(tmp_path, condition="none")
    assert torch.equal(free.generate("task0", 1, 0), free.generate(None, 1, 0))
    with pytest.raises(ValueError, match="unknown task 'task7' for a one-hot condition; known: task0, task1"):
        good[0].generate("task7", 1, 0)


def test_refuses_zoos_that_cannot_be_learned(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"task 'task0' has 1 training checkpoint\(s\)"):
        quick(tmp_path, zoo(runs=1, keep=1))
    bad = zoo()
    bad.vectors[7, 3] = np.nan
    with pytest.raises(ValueError, match="task 'task0', run 'run1', step 1 has a NaN or infinite weight"):
        quick(tmp_path, bad)
    silent = zoo()
    silent.conditions["task1"] = [""]
    with pytest.raises(ValueError, match="task 'task1' has an empty condition"):
        quick(tmp_path, silent, condition="description")
    assert not list(tmp_path.iterdir()), "nothing half written"


def test_refuses_damaged_files(tmp_path) -> None:
    saved = quick(tmp_path / "fit").save_pretrained(tmp_path / "saved")
    with pytest.raises(FileExistsError, match="exists already"):
        quick(tmp_path / "fit").save_pretrained(tmp_path / "saved")
    whole = (saved / WEIGHTS).read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:-1] + b"x"):
        (saved / WEIGHTS).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"generator\.safetensors has sha256 .* its manifest says"):
            CondPDiff.from_pretrained(saved)
    with pytest.raises(FileNotFoundError):
        CondPDiff.from_pretrained(tmp_path / "nowhere")


def test_refuses_another_format(tmp_path, monkeypatch) -> None:
    with monkeypatch.context() as later:
        later.setattr(generator, "FORMAT", 99)
        saved = quick(tmp_path / "fit").save_pretrained(tmp_path / "saved")
    with pytest.raises(ValueError, match="is not a generator of format 2; fit it again with this cpd"):
        CondPDiff.from_pretrained(saved)
