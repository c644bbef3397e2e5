"""What people really have is read right or refused right, and what a refusal advises is accepted."""

from __future__ import annotations

import ast
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wild
from safetensors.torch import load_file, save_file

from cpd.adapters import configs, diffusers_files, names, patterns, peft_files
from cpd.adapters.layout import delta
from cpd.adapters.peft_files import CONFIG, WEIGHTS, read_adapter, write_adapter
from cpd.adapters.proof import require_loadable
from cpd.zoo import walk
from cpd.zoo.folders import from_folders
from cpd.zoo.zoo import AdapterZoo

Change = Callable[[Path], Any]
DIFFUSERS = wild.DIFFUSERS
RUN = [(f"{task}/run-0", step) for task in wild.TASKS for step in (10, 20)]


def gathered(root: Path, out: Path, adapter: str | None = None) -> AdapterZoo:
    shutil.rmtree(out, ignore_errors=True)
    return from_folders(root, out, adapter=adapter)


def places(zoo: AdapterZoo) -> list[tuple[str, int]]:
    return [(row.run, row.step) for row in zoo.rows]


def both(first: Change, second: Change) -> Change:
    return lambda root: (first(root), second(root))


def beside(*names: str) -> Change:
    """Put further adapters, other ones, into every checkpoint."""

    def make(root: Path) -> None:
        for i, folder in enumerate(wild.checkpoints(root)):
            for j, name in enumerate(names):
                wild.peft(folder / name, wild.matrices(1000 + 10 * i + j))

    return make


def below(name: str) -> Change:
    """Move every adapter into a folder below its checkpoint."""

    def make(root: Path) -> None:
        for folder in wild.checkpoints(root):
            (folder / name).mkdir()
            for path in (folder / CONFIG, folder / WEIGHTS):
                path.rename(folder / name / path.name)

    return make


def hidden(*parts: str) -> Change:
    """Put what downloads and notebooks leave into a hidden folder."""

    def make(root: Path) -> None:
        for folder in (root, *wild.checkpoints(root)):
            place = folder.joinpath(*parts)
            place.mkdir(parents=True)
            for end in ("lock", "metadata"):
                (place / f"{WEIGHTS}.{end}").write_text("")
        wild.peft(root / "movies" / "run-0" / parts[0], wild.matrices(9))

    return make


def left_by_downloads(root: Path) -> None:
    for folder in wild.checkpoints(root):
        for name in (WEIGHTS, CONFIG):
            (folder / f"{name}.lock").write_text("")
            (folder / f"{name}.metadata").write_text("")


def both_formats(root: Path) -> None:
    for folder in wild.checkpoints(root):
        state = {n.removeprefix(wild.PREFIX): x for n, x in load_file(folder / WEIGHTS).items()}
        wild.diffusers(folder, state, "unet.base_model.model.")


def both_folders(root: Path) -> None:
    for folder in wild.checkpoints(root):
        state = {n.removeprefix(wild.PREFIX): x for n, x in load_file(folder / WEIGHTS).items()}
        wild.diffusers(folder / "transformer_lora_weights", state, "unet.base_model.model.")
    below("transformer")(root)


def relative_bases(root: Path) -> None:
    for i, path in enumerate(sorted(root.rglob(CONFIG))):
        base = ("../models/llama", "models/llama", "/home/me/models/llama", "llama")[i]
        path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": base}))


def look_around(root: Path) -> None:
    wild.change(root, target_modules=r"layers(?=\.).*\.(q|v)")


ACCEPTED: dict[str, tuple[Change, str]] = {  # what was changed, and what is said of it
    "as PEFT writes them": (lambda root: None, ""),
    "compiled": (lambda root: wild.rename(root, lambda name: f"_orig_mod.{name}"), "took _orig_mod off"),
    "data parallel": (lambda root: wild.rename(root, lambda name: f"module.{name}"), "took module off"),
    "compiled and parallel": (
        lambda root: wild.rename(root, lambda name: f"module._orig_mod.{name}"),
        "took module and _orig_mod off",
    ),
    "compiled inside": (
        lambda root: wild.rename(root, lambda name: name.replace(".0.", ".0._orig_mod.")),
        "took _orig_mod off",
    ),
    "sharded inside": (
        lambda root: wild.rename(root, lambda name: name.replace("layers", "_fsdp_wrapped_module.layers")),
        "took _fsdp_wrapped_module off",
    ),
    "a callback's folder": (below("adapter_model"), ""),
    "a named adapter": (below("sentiment"), ""),
    "a reference": (beside("ref"), "left out 'ref', a second adapter of its checkpoint; --adapter ref chooses it (4)"),
    "a helper": (beside("helper", "reference"), "left out 'helper', a second adapter"),
    "default and reference": (
        both(below("default"), beside("reference")),
        "left out 'reference', a second adapter",
    ),
    "a cache in every folder": (hidden(".cache", "huggingface", "download"), "left hidden folders alone (.cache)"),
    "a notebook's checkpoints": (hidden(".ipynb_checkpoints"), "left hidden folders alone (.ipynb_checkpoints)"),
    "locks": (left_by_downloads, ""),
    "both formats": (both_formats, f"left out {DIFFUSERS}: the same adapter"),
    "both formats in two folders": (both_folders, "left out 'transformer_lora_weights', the same adapter"),
    "relative bases": (relative_bases, "for one base model"),
    "a pattern with look-around": (look_around, ""),
}


@pytest.mark.parametrize("situation", ACCEPTED)
def test_what_is_certain_is_read_as_the_adapters_that_it_is(situation: str, tmp_path: Path) -> None:
    change, said = ACCEPTED[situation]
    plain = gathered(wild.zoo(tmp_path / "plain"), tmp_path / "first")
    change(wild.zoo(tmp_path / "root"))
    zoo = gathered(tmp_path / "root", tmp_path / "zoo")
    assert places(zoo) == places(plain) == RUN
    assert np.array_equal(zoo.vectors, plain.vectors) and zoo.layout.names == plain.layout.names
    assert any(said in note for note in zoo.notes) if said else zoo.notes == []
    require_loadable(zoo.layout, zoo.adapters([0])[0])


@pytest.mark.parametrize("prefix", ["transformer.", "unet.", "unet.base_model.model.", "base_model.model."])
def test_files_of_diffusers_are_the_adapters_that_they_are_without_their_prefix(prefix: str, tmp_path: Path) -> None:
    plain = gathered(wild.zoo(tmp_path / "plain"), tmp_path / "first")
    root = wild.zoo(tmp_path / "root", lambda folder, seed: wild.diffusers(folder, wild.matrices(seed), prefix))
    zoo = gathered(root, tmp_path / "zoo")
    assert zoo.layout.names == plain.layout.names and np.array_equal(zoo.vectors, plain.vectors)
    assert zoo.layout.scaling("layers.0.q") == 1 and plain.layout.scaling("layers.0.q") == 2
    require_loadable(zoo.layout, zoo.adapters([0])[0])


def test_modules_of_one_ending_keep_their_own_rank_and_alpha(tmp_path: Path) -> None:
    ranks = {"proj_out": 2, "single_transformer_blocks.0.proj_out": 4, "single_transformer_blocks.0.to_q": 4}

    def write(folder: Path, seed: int) -> None:
        alphas = {"single_transformer_blocks.0.to_q.alpha": torch.tensor(2.0)}
        wild.diffusers(folder, wild.matrices(seed, ranks) | alphas)

    zoo = gathered(wild.zoo(tmp_path / "root", write), tmp_path / "zoo")
    scales = {module: zoo.layout.scaling(module) for module in ranks}
    assert list(scales.values()) == [1, 1, 0.5]
    state = wild.matrices(10, ranks)
    for module, product in delta(zoo.layout, zoo.adapters([0])[0]).items():
        expected = scales[module] * state[f"{module}.lora_B.weight"] @ state[f"{module}.lora_A.weight"]
        torch.testing.assert_close(product, expected)
    require_loadable(zoo.layout, zoo.adapters([0])[0])


@pytest.mark.parametrize(
    "final", ["final_checkpoint", "final", "final-model", "checkpoint-last", "best", "final/adapter", "."]
)
@pytest.mark.parametrize("run", ["", "run-0"])
def test_what_is_called_final_is_the_last_of_its_run(final: str, run: str, tmp_path: Path) -> None:
    wild.conditions(tmp_path / "root")
    for task in wild.TASKS:
        for step in (10, 20):
            wild.peft(tmp_path / "root" / task / run / f"step-{step}", wild.matrices(step))
        wild.peft(tmp_path / "root" / task / run / final, wild.matrices(30))
    zoo = gathered(tmp_path / "root", tmp_path / "zoo")
    assert len({row.run for row in zoo.rows}) == 2
    assert [row.step for row in zoo.rows] == [10, 20, 21] * 2
    last = read_adapter(tmp_path / "root" / "spam" / run / final)[1]
    assert np.array_equal(zoo.vectors[5], last.numpy())


def test_adapters_called_final_without_checkpoints_beside_them_are_runs_of_their_own(tmp_path: Path) -> None:
    wild.conditions(tmp_path / "root")
    for task in wild.TASKS:
        for name in ("final-a", "final-b", "last"):
            wild.peft(tmp_path / "root" / task / name, wild.matrices(1))
    zoo = gathered(tmp_path / "root", tmp_path / "zoo")
    assert places(zoo) == [(f"{task}/{name}", 0) for task in wild.TASKS for name in ("final-a", "final-b", "last")]


@pytest.mark.parametrize(
    ("folder", "step"),
    [
        ("checkpoint-7", 7), ("checkpoint_7", 7), ("step7", 7), ("epoch-7", 7), ("iter_0007", 7), ("global_step7", 7),
        ("epoch=1-step=7", 7), ("checkpoint-7/adapter_model", 7), ("checkpoint-7/final_adapter", 7),
        ("deep/step-7/a/b", 7),
    ],
)  # fmt: skip
def test_the_nearest_folder_named_like_a_checkpoint_counts(folder: str, step: int, tmp_path: Path) -> None:
    wild.conditions(tmp_path / "root")
    for task in wild.TASKS:
        for run in ("run-0", "run-1"):
            wild.peft(tmp_path / "root" / task / run / folder, wild.matrices(1))
    zoo = gathered(tmp_path / "root", tmp_path / "zoo")
    assert places(zoo) == [(f"{task}/{run}", step) for task in wild.TASKS for run in ("run-0", "run-1")]


def test_the_second_adapter_of_every_checkpoint_can_be_chosen(tmp_path: Path) -> None:
    beside("ref")(wild.zoo(tmp_path / "root"))
    zoo = gathered(tmp_path / "root", tmp_path / "zoo", "ref")
    assert places(zoo) == RUN and zoo.notes == []
    refs = [read_adapter(folder / "ref")[1].numpy() for folder in wild.checkpoints(tmp_path / "root")]
    assert np.array_equal(zoo.vectors, np.stack(refs))
    with pytest.raises(ValueError, match="has an adapter 'other'; there is default, ref"):
        gathered(tmp_path / "root", tmp_path / "zoo", "other")


def swapped(root: Path, change: Callable[[torch.Tensor], torch.Tensor], which: str = "layers.0.q.lora_A") -> None:
    for path in root.rglob("*.safetensors"):
        save_file({n: change(x) if which in n else x for n, x in load_file(path).items()}, path, {"format": "pt"})


def as_diffusers(change: Callable[[str], str], extra: dict[str, torch.Tensor] | None = None) -> Change:
    """Write files of diffusers, their names changed, in place of PEFT's."""

    def make(root: Path) -> None:
        for i, folder in enumerate(wild.checkpoints(root)):
            shutil.rmtree(folder)
            wild.diffusers(folder, wild.matrices(i), "transformer.")
        wild.rename(root, change)
        wild.add(root, extra or {})

    return make


def sharded(root: Path) -> None:
    for path in list(root.rglob(WEIGHTS)):
        state = list(load_file(path).items())
        path.unlink()
        for i in (0, 1):
            save_file(dict(state[i::2]), path.with_name(f"adapter_model-0000{i + 1}-of-00002.safetensors"))
        path.with_name(f"{WEIGHTS}.index.json").write_text("{}")


def merged(root: Path) -> None:
    for folder in wild.checkpoints(root):
        parts = [load_file(path) for path in folder.glob("adapter_model-*")]
        save_file({name: x for part in parts for name, x in part.items()}, folder / WEIGHTS)


def renamed(old: str, new: str) -> Change:
    return lambda root: [path.rename(path.with_name(new)) for path in root.rglob(old)]


def pointers(name: str) -> Change:
    def make(root: Path) -> None:
        for path in root.rglob(name):
            path.with_name(f".{name}").write_bytes(path.read_bytes())
            path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 10\n")

    return make


def named(change: Callable[[str], str]) -> Change:
    return lambda root: wild.rename(root, change)


def configured(**fields: Any) -> Change:
    return lambda root: wild.change(root, **fields)


def extra(name: str, shape: tuple[int, ...] = (4, 6)) -> Change:
    return lambda root: wild.add(root, {name: torch.ones(shape)})


def without(part: str) -> Change:
    return lambda root: wild.drop(root, lambda name: part in name)


def two_in_one(root: Path) -> None:
    for i, path in enumerate(sorted(root.rglob(WEIGHTS))):
        wild.diffusers(path.parent, wild.matrices(500 + i))


def gone(name: str) -> Change:
    return lambda root: [path.unlink() for path in root.rglob(name)]


def dotted(name: str) -> str:
    return "unet." + name.removeprefix("lora_unet_").replace("_q.", ".q.").replace("_v.", ".v.")


REFUSED: dict[str, tuple[Change, str, Change]] = {  # what was changed, what is said, and what is done about it
    "the adapter's name in the names": (
        named(lambda name: name.replace(".weight", ".default.weight")),
        "the adapter's name 'default' is inside the names of tensors",
        named(lambda name: name.replace(".default", "")),
    ),
    "the name in a head": (
        both(extra("base_model.model.score.modules_to_save.default.weight"), configured(modules_to_save=["score"])),
        "the adapter's name 'default'",
        named(lambda name: name.replace("modules_to_save.default.", "")),
    ),
    "bare names": (
        named(lambda name: name.replace(wild.PREFIX, "")),
        "begins with 'layers', not with 'base_model.model.'",
        named(lambda name: wild.PREFIX + name),
    ),
    "inside another model": (
        named(lambda name: f"student.{name}"),
        "begins with 'student'",
        named(lambda name: name.removeprefix("student.")),
    ),
    "wrapped twice": (
        named(lambda name: wild.PREFIX + name),
        "has 'base_model' after",
        named(lambda name: name.removeprefix(wild.PREFIX)),
    ),
    "in the original code's model": (
        named(lambda name: name.replace(wild.PREFIX, wild.PREFIX + "diffusion_model.")),
        "has 'diffusion_model' after",
        named(lambda name: name.replace("diffusion_model.", "")),
    ),
    "twice under wrappers": (
        lambda root: wild.add(root, {f"module.{wild.PREFIX}layers.0.q.lora_A.weight": torch.ones(2, 6)}),
        "twice, with and without",
        without("module.base_model"),
    ),
    "targets that name nothing": (
        configured(target_modules=["query"]),
        "holds a LoRA of layers.0.q, which target_modules (query) does not name",
        configured(target_modules=["query", "q", "v"]),
    ),
    "a head that the config leaves out": (
        extra("base_model.model.score.weight"),
        "list 'score' in modules_to_save",
        configured(modules_to_save=["score"]),
    ),
    "a resized vocabulary": (
        both(extra("base_model.model.lm_head.weight"), extra("base_model.model.model.embed_tokens.weight")),
        "list 'lm_head' and 'embed_tokens' in modules_to_save",
        configured(modules_to_save=["lm_head", "embed_tokens"]),
    ),
    "empty matrices": (
        lambda root: swapped(root, lambda x: x[:0, :0]),
        "is empty: it was saved by one process of DeepSpeed ZeRO-3",
        lambda root: swapped(root, lambda x: torch.ones(2, 6)),
    ),
    "an empty head": (
        both(extra("base_model.model.score.weight", (0,)), configured(modules_to_save=["score"])),
        "score.weight",
        lambda root: swapped(root, lambda x: torch.ones(3, 6), "score"),
    ),
    "DoRA": (configured(use_dora=True), "is a DoRA adapter (use_dora)", configured(use_dora=False)),
    "DoRA's tensors": (
        extra("base_model.model.layers.0.q.lora_magnitude_vector", (6,)),
        "is a DoRA adapter",
        without("magnitude"),
    ),
    "DoRA in a file of diffusers": (
        as_diffusers(str, {"transformer.layers.0.q.lora_magnitude_vector": torch.ones(6)}),
        "is a DoRA adapter",
        without("magnitude"),
    ),
    "LoftQ": (
        configured(init_lora_weights="loftq"),
        "PEFT has no conversion to plain LoRA",
        configured(init_lora_weights=True),
    ),
    "PiSSA": (
        configured(init_lora_weights="pissa_niter_4"),
        "path_initial_model_for_weight_conversion",
        configured(init_lora_weights=True),
    ),
    "another method": (configured(peft_type="LOHA"), "has peft_type LOHA", configured(peft_type="LORA")),
    "a field of no plain LoRA": (
        configured(lora_bias=True),
        "uses lora_bias=True, only plain LoRA",
        configured(lora_bias=False),
    ),
    "a rank as text": (configured(r="2"), "has r='2' in its config", configured(r=2)),
    "a head as text": (
        configured(modules_to_save="score"),
        "has modules_to_save='score' in its config",
        configured(modules_to_save=["score"]),
    ),
    "another rank": (configured(r=5), "says rank 5 for layers.0.q", configured(r=2)),
    "a pattern without bound": (
        configured(rank_pattern={"(?!x)q": 2}),
        "cannot be matched in bounded time",
        configured(rank_pattern={"q": 2}),
    ),
    "several files": (sharded, "is of an adapter in several files", merged),
    "a pickle": (renamed(WEIGHTS, "adapter_model.bin"), "may be a pickle", renamed("adapter_model.bin", WEIGHTS)),
    "weights not fetched": (pointers(WEIGHTS), "is a git-lfs pointer", renamed(f".{WEIGHTS}", WEIGHTS)),
    "a config not fetched": (pointers(CONFIG), "is a git-lfs pointer", renamed(f".{CONFIG}", CONFIG)),
    "a config that is a list": (
        lambda root: [path.write_text("[1]") for path in root.rglob(CONFIG)],
        "holds list, not the fields",
        lambda root: [path.write_text(json.dumps(wild.FIELDS)) for path in root.rglob(CONFIG)],
    ),
    "two adapters in one folder": (two_in_one, "holds two adapters", gone(DIFFUSERS)),
    "two adapters in a checkpoint": (
        both(below("a"), beside("b")),
        "holds the adapters a and b, which differ; choose one with --adapter a",
        lambda root: [shutil.rmtree(path) for path in root.glob("*/*/*/b")],
    ),
    "a side without its partner": (
        without("layers.0.q.lora_B"),
        "but not its partner",
        lambda root: wild.drop(root, lambda name: "layers.0.q" in name),
    ),
    "whole numbers": (
        lambda root: swapped(root, lambda x: x.to(torch.int8)),
        "is int8; a vector holds",
        lambda root: swapped(root, lambda x: x.float()),
    ),
    "a NaN": (
        lambda root: swapped(root, lambda x: x / 0 * 0),
        "NaN or infinite weight in",
        lambda root: swapped(root, torch.nan_to_num),
    ),
    "no tensors": (without(""), "holds no tensors", extra("base_model.model.layers.0.q.lora_A.weight", (2, 6))),
    "the adapter's name in a file of diffusers": (
        as_diffusers(lambda name: name.replace(".weight", ".default.weight")),
        "save the adapter with diffusers' save_lora_weights",
        named(lambda name: name.replace(".default", "")),
    ),
    "names of kohya's trainers": (
        as_diffusers(
            lambda name: "lora_unet_" + name.removeprefix("transformer.").replace(".q", "_q").replace(".v", "_v")
        ),
        "a name of kohya's trainers",
        named(dotted),
    ),
    "names of ComfyUI": (
        as_diffusers(lambda name: name.replace("transformer.", "diffusion_model.")),
        "a name of ComfyUI",
        named(lambda name: name.replace("diffusion_model.", "transformer.")),
    ),
    "a text encoder beside it": (
        as_diffusers(str, wild.matrices(3, ("text_encoder.layers.0.q",))),
        "also holds text_encoder",
        without("text_encoder"),
    ),
    "two parts in one file": (
        as_diffusers(str, wild.matrices(3, ("unet.layers.0.q",))),
        "holds transformer and unet: two parts",
        without("unet"),
    ),
    "names of nothing known": (
        as_diffusers(lambda name: name.replace("transformer.", "generator.")),
        "'generator' is no part of a pipeline",
        named(lambda name: name.replace("generator.", "transformer.")),
    ),
    "no LoRA in a file of diffusers": (
        as_diffusers(str, {"transformer.layers.0.hada_w1_a": torch.ones(2, 2)}),
        "neither A nor B of a LoRA",
        without("hada"),
    ),
    "an alpha that is no number": (
        as_diffusers(str, {"transformer.layers.0.q.alpha": torch.tensor([1.0, 2.0])}),
        "expected one finite number",
        lambda root: swapped(root, lambda x: x[0], "alpha"),
    ),
    "an alpha of nothing": (
        as_diffusers(str, {"transformer.layers.9.q.alpha": torch.tensor(1.0)}),
        "but no LoRA of that module",
        without("layers.9"),
    ),
    "a stored config that is none": (
        as_diffusers(str),
        "stores a config that is",
        lambda root: wild.rename(root, str),
    ),
}


def stored(root: Path, text: str) -> None:
    for path in root.rglob(DIFFUSERS):
        save_file(load_file(path), path, {"format": "pt", wild.METADATA: text})


def test_every_refusal_names_its_cause_and_its_advice_is_accepted(tmp_path: Path) -> None:
    """All of them, and none that the code has is missing here."""
    said: list[str] = []
    for situation, (change, words, mend) in REFUSED.items():
        root = tmp_path / situation.replace(" ", "-")
        change(wild.zoo(root))
        if situation == "a stored config that is none":
            for text in ("[1]", "{"):
                stored(root, text)
                said.append(refusal(root, tmp_path / "zoo"))
        said.append(refusal(root, tmp_path / "zoo"))
        assert words in said[-1], (situation, said[-1])
        assert "Traceback" not in said[-1] and "\n" not in said[-1]
        mend(root)
        for path in root.rglob("*"):
            if path.name.startswith(".") or "-of-" in path.name or path.name.endswith(".index.json"):
                path.unlink()
        if situation == "no tensors":
            wild.add(root, {"base_model.model.layers.0.q.lora_B.weight": torch.ones(6, 2)})
        zoo = gathered(root, tmp_path / "zoo")
        assert places(zoo) == RUN, situation
        require_loadable(zoo.layout, zoo.adapters([0])[0])
    modules = (configs, diffusers_files, names, patterns, peft_files, walk)
    missing = [text for module in modules for text in refusals(module) if not any(text in each for each in said)]
    assert missing == []


def refusal(root: Path, out: Path) -> str:
    with pytest.raises((ValueError, OSError)) as raised:
        gathered(root, out)
    assert not out.exists()
    return str(raised.value)


ELSEWHERE = ("is a link to a folder", "no checkpoint in", "is no LoRA matrix, and", "these adapters were not read from")
ELSEWHERE += ("exists and is no adapter",)  # refusals that other tests see


def refusals(module: Any) -> list[str]:
    """Return the longest piece of each message that a module refuses with."""
    found = []
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            pieces = [
                x.value for x in ast.walk(node.exc.args[0]) if isinstance(x, ast.Constant) and isinstance(x.value, str)
            ]
            if not any(text in piece for text in ELSEWHERE for piece in pieces):
                found.append(max(pieces, key=len).strip())
    return found


BENIGN: list[tuple[str, Change]] = [
    ("wrapped", named(lambda name: f"_orig_mod.{name}")),
    ("half", lambda root: [halved(path) for path in root.rglob(WEIGHTS)]),
    ("hidden", hidden(".cache", "huggingface")),
    ("deeper", below("adapter")),
    ("rslora", configured(use_rslora=True)),
    ("alpha", configured(alpha_pattern={"layers.1.q": 7})),
    ("targets", configured(target_modules=r".*\.(q|v)")),
    ("locks", left_by_downloads),
]
DAMAGE: list[tuple[str, Change]] = [
    *((situation, change) for situation, (change, _, _) in REFUSED.items() if not situation.startswith("a stored")),
    ("truncated", lambda root: [path.write_bytes(path.read_bytes()[:77]) for path in root.rglob("*.safetensors")]),
    ("emptied", lambda root: [path.write_bytes(b"") for path in root.rglob("*.safetensors")]),
    ("noise", lambda root: [path.write_bytes(bytes(range(256))) for path in root.rglob("*.safetensors")]),
    ("no config", gone(CONFIG)),
    ("no JSON", lambda root: [path.write_text('{"r": ') for path in root.rglob(CONFIG)]),
    ("a scalar", lambda root: swapped(root, lambda x: x.sum())),
    ("a row", lambda root: swapped(root, lambda x: x.flatten())),
    ("transposed", lambda root: swapped(root, lambda x: x.mT.contiguous())),
    ("complex", lambda root: swapped(root, lambda x: x.to(torch.complex64))),
    ("no rank", configured(r=0)),
    ("endless alpha", configured(lora_alpha=float("inf"))),
    ("targets of numbers", configured(target_modules=[1, 2])),
    ("a pattern that is a list", configured(rank_pattern=["q"])),
    ("layers of text", configured(layers_to_transform=["a"])),
    ("true as a rank", configured(r=True)),
]


def halved(path: Path) -> None:
    save_file({name: x.half() if x.is_floating_point() else x for name, x in load_file(path).items()}, path)


@pytest.mark.parametrize("seed", range(100))
def test_a_malformed_folder_round_trips_or_is_refused(seed: int, tmp_path: Path) -> None:
    """Names, shapes, dtypes, configs and files, crossed: what is harmless is read as it is, what is not is refused."""
    draw = random.Random(seed)
    root = wild.zoo(tmp_path / "root")
    bad = draw.random() < 0.7
    changes = draw.sample(BENIGN, draw.randint(0, 2)) + ([draw.choice(DAMAGE)] if bad else [])
    for _, make in changes:
        make(root)
    try:
        zoo = gathered(root, tmp_path / "zoo")
    except (ValueError, OSError) as error:
        assert bad, (changes, str(error))
        assert len(str(error)) < 1500 and "\n" not in str(error)
        return
    assert not bad, f"accepted in silence: {[name for name, _ in changes]}"
    assert places(zoo) == RUN
    vector = zoo.adapters([3])[0]
    write_adapter(tmp_path / "written", zoo.layout, vector)
    other, same = read_adapter(tmp_path / "written")
    assert torch.equal(same, vector) and other == zoo.layout
    require_loadable(zoo.layout, vector)
    state = wild.matrices(120)
    exact = "half" not in [name for name, _ in changes]
    for module, product in delta(zoo.layout, vector).items():
        b, a = (state[f"{module}.lora_{side}.weight"] for side in "BA")
        b, a = (b, a) if exact else (b.half().float(), a.half().float())
        torch.testing.assert_close(product, zoo.layout.scaling(module) * b @ a)
