"""The command line on folders of people's own pictures: learn styles, write for one that never was there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import PixArtTransformer2DModel
from peft import PeftModel
from PIL import Image
from refusals import refused

from cpd import features
from cpd.__main__ import main
from cpd.adapters.peft_files import read_adapter
from cpd.commands import pictures
from cpd.domains.images import domain as image_domain
from cpd.domains.images import emoji, pixart
from cpd.domains.images.domain import ImageDomain
from cpd.domains.images.folder_album import FolderAlbum
from cpd.methods import cards, registry
from cpd.methods.hypernetwork.generator import FittedHypernetwork
from cpd.methods.hypernetwork.pictures import spec
from cpd.unseen import styles as unseen

COLOURS = {"coal": (20, 20, 20), "grass": (30, 160, 40), "rose": (230, 120, 150), "sky": (90, 170, 240)}
SAID = "coal: [All is black., Dark as coal.]\ngrass: All is green.\nrose: All is pink.\nsky: All is blue.\n"
QUICK = ("--method", "hypernetwork", "--preset", "smoke", "--steps", "4", "--rank", "1")


@pytest.fixture(scope="module", autouse=True)
def own_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Wheels are read before the folder that holds them is another."""
    emoji.drawings()
    features.features(np.zeros((1, 8, 8, 3), np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("artifacts")
        patch.setenv("CPD_ARTIFACTS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "small"
    pixart.small(0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for style, colour in COLOURS.items():
        (folder / style).mkdir()
        for i in range(8):
            noisy = np.clip(np.array(colour) + random.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / style / f"{i}.png")
    (folder / "conditions.yaml").write_text(SAID)
    return folder


def run(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="module")
def writer(root: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "writer"
    run("fit", root, *QUICK, "--base", base, "--held-out", "sky", "--out", out)
    return out


def vector(folder: Path) -> torch.Tensor:
    return read_adapter(folder)[1]


def test_what_is_learned_is_saved_without_what_was_held_out(writer: Path) -> None:
    made = registry.load(writer)
    assert isinstance(made, FittedHypernetwork)
    assert dict(made.sentences) == {"coal": "All is black.", "grass": "All is green.", "rose": "All is pink."}
    assert made.learned == {"tasks": dict.fromkeys(("coal", "grass", "rose"), {"pictures": 5}), "held_out": ["sky"]}
    assert (made.network.how.writes, made.layout.config["r"], len(made.history)) == ("all", 1, 4)
    assert [path.name for path in writer.parent.iterdir()] == ["writer"]


def test_pictures_and_sentences_are_told_and_each_gives_another_adapter(
    writer: Path, root: Path, base: Path, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for i in range(3):
        shutil.copy(root / "sky" / f"{i}.png", few)
    told = {
        "pictures": ("--examples", few),
        "one": ("--examples", few / "0.png"),
        "sentence": ("--condition", "All is blue."),
        "both": ("--condition", "All is blue.", "--examples", few),
        "learned": ("--condition", "coal"),
        "named": ("--condition", "All is black."),
    }
    for name, given in told.items():
        run("generate", writer, *given, "--out", tmp_path / name)
    found = {name: vector(tmp_path / name / "000") for name in told}
    assert torch.equal(found.pop("named"), found["learned"])
    distinct = torch.stack([*found.values()])
    assert len(distinct.unique(dim=0)) == len(found)
    transformer = PixArtTransformer2DModel.from_pretrained(base / "transformer")
    loaded = PeftModel.from_pretrained(transformer, str(tmp_path / "pictures" / "000"))
    assert sum(x.numel() for name, x in loaded.named_parameters() if "lora" in name) == distinct.shape[1]


def test_its_card_says_what_it_is_told_and_learned_from(writer: Path) -> None:
    about = json.loads((writer / "generator.json").read_text())
    said = cards.card("me/styles", about, "mit", None)
    assert "which it is told by pictures" in said and "| coal | All is black. | 5 |" in said
    assert "--condition 'All is black.'" in said and "| sky |" not in said


def test_inspect_counts_pictures(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("inspect", root, "--json")
    said = json.loads(capsys.readouterr().out)["styles"]
    assert said["coal"] == {"sentences": ["All is black.", "Dark as coal."], "pictures": 8, "learned": 5}
    run("inspect", root)
    assert capsys.readouterr().out.splitlines()[3].split()[:4] == ["coal", "8", "5", "All"]


def test_of_several_sentences_the_first_is_asked_with_and_the_others_are_learned(root: Path) -> None:
    album = FolderAlbum(root)
    assert album.sentence("coal") == "All is black." and album.phrasings("coal") == ("Dark as coal.",)
    assert album.phrasings("rose") == (album.sentence("rose"),) == ("All is pink.",)


def lone(root: Path) -> None:
    (root / "conditions.yaml").write_text("grass: All is green.\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "conditions.yaml").write_text(SAID[SAID.index("grass") :]), "condition for task 'coal'"),
        (lambda root: (root / "conditions.yaml").write_text(SAID + "sea: All is wet.\n"), "no pictures in"),
        (lambda root: (root / "conditions.yaml").write_text("- coal\n"), "must map each task to its text"),
        (lambda root: (root / "coal" / "0.png").write_text("no picture"), "0.png is no picture"),
        (lambda root: [(root / "coal" / f"{i}.png").unlink() for i in range(5)], "has 3 pictures in"),
        (lambda root: [shutil.rmtree(root / style) for style in ("coal", "rose", "sky")], "'coal', but there are no"),
        (
            lambda root: [shutil.rmtree(root / each) for each in ("coal", "rose", "sky")] + [lone(root)],
            "1 task is left",
        ),
    ],
)
def test_bad_folders_are_refused_and_nothing_is_left(
    spoil: object, said: str, root: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = shutil.copytree(root, tmp_path / "own")
    spoil(own)  # type: ignore[operator]
    given = ("--base", base, "--out", tmp_path / "out")
    assert said in refused(capsys, "fit", own, *QUICK, *given)
    assert not (tmp_path / "out").exists()


def test_what_pictures_have_no_use_for_is_refused(
    writer: Path, root: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    assert "no task 'mars' to hold out" in refused(
        capsys, "fit", root, *QUICK, "--base", base, "--held-out", "mars", *out
    )
    assert "--encoder is no option of method" in refused(capsys, "fit", root, *QUICK, "--encoder", "minilm", *out)
    assert "--adapter is no option of a folder of pictures" in refused(capsys, "inspect", root, "--adapter", "x")
    assert "--classes is for generators of texts" in refused(
        capsys, "generate", writer, "--condition", "blue", "--classes", "a,b", *out
    )
    assert "no picture or folder" in refused(capsys, "generate", writer, "--examples", tmp_path / "none", *out)
    assert "style 'coal' was learned" in refused(capsys, "evaluate", root, writer, "--base", base, "--task", "coal")
    other = tmp_path / "other"
    shutil.copytree(root / "sky", other / "sea")
    assert "no pictures of the styles that the generator learned" in refused(
        capsys, "evaluate", other, writer, "--base", base
    )
    assert "--score is no option of a folder of pictures" in refused(capsys, "evaluate", root, writer, "--score", "x")
    assert not (tmp_path / "out").exists()


def test_what_is_written_is_scored_beside_none_a_look_up_and_fine_tuning(
    writer: Path,
    root: Path,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(image_domain, "STEPS", 3)
    monkeypatch.setattr(image_domain, "SAMPLER_STEPS", 1)
    monkeypatch.setattr(unseen, "DRAWN", 2)
    out = tmp_path / "out"
    run("evaluate", root, writer, "--base", base, "--out", out, "--json")
    said = json.loads(capsys.readouterr().out)
    (shares,) = said["scores"].values()
    assert list(said["scores"]) == ["sky"] and set(shares) == set(unseen.NAMES)
    assert shares["untrained_adapter"] == 0 and len(set(shares.values())) == len(shares)
    assert {"evaluation.json", "evaluation.png", "evaluation.svg", "sky.png"} <= {each.name for each in out.iterdir()}
    lines = pictures.shown(said, out).splitlines()
    assert lines[0] == said["verdict"] and any(line.startswith("no adapter  ") for line in lines)


def test_the_share_is_1_for_the_pictures_themselves_and_the_look_up_is_the_most_similar_style(
    writer: Path, root: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registry.load(writer)
    assert isinstance(made, FittedHypernetwork)
    asked = unseen.asked(made, FolderAlbum(root), (), spec(str(base), 1), 0)
    assert asked.domain.names == ["sky"] and asked.learned.names == ["coal", "grass", "rose"]
    near = asked.domain.real("sky", "train")
    monkeypatch.setitem(asked.learned._real, ("grass", "train"), near + 0.001)
    expected = asked.told({"grass": asked.shown(asked.learned)["grass"]})
    assert torch.equal(asked.looked_up(), made.write(expected))
    real = asked.domain.album.pictures("sky", "report", asked.domain.painter.size)
    arms = {"untrained_adapter": unseen.ARMS["untrained_adapter"], "itself": lambda of: of.domain.untrained()[None]}
    monkeypatch.setattr(unseen, "ARMS", arms)
    monkeypatch.setattr(ImageDomain, "draw", lambda *_: np.stack([255 - real, real]))
    shares, drawn = unseen.score(asked)
    assert shares["sky"] == pytest.approx({"untrained_adapter": 0, "itself": 1})
    assert np.array_equal(drawn["sky"]["own"], real[: unseen.KEPT])
