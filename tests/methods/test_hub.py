"""Generators on a hub: what is pushed is what is fetched, its card is right, and a stranger's files do no harm."""

from __future__ import annotations

import json
import pickle
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import yaml
from hub_server import Client, Hub, Said, client, environment, serving

from cpd.__main__ import main
from cpd.methods.cond_pdiff.generator import CondPDiff
from cpd.methods.hub import CARD, DESCRIPTION, FILES, WEIGHTS
from cpd.runtime import artifacts

TEXTS = {"films": "Is a film review positive?", "spam": "Is this message spam?"}
EVALUATION = {
    "verdict": "Generated adapters score lower than averaging each task's training runs: a look-up is better.",
    "arms": [
        {"arm": "generated", "mean": [0.71234, 0.65, 0.77], "generated_above": None, "scored": 12},
        {"arm": "run_soup", "mean": [0.9, None, None], "generated_above": [-0.2, -0.3, -0.1], "scored": 2},
    ],
    "held_out_runs": 2,
    "scores": {},
}


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks of two runs of two checkpoints, as PEFT saves them."""
    root = tmp_path_factory.mktemp("zoo")
    base = tiny.encoder(root / "tiny-bert")
    for i, task in enumerate(TEXTS):
        for run in range(2):
            for step in range(2):
                made = tiny.lora(base, seed=4 * i + 2 * run + step)
                made.save_pretrained(root / "adapters" / task / f"run-{run}" / f"step-{step}")
    artifacts.write_json(root / "adapters" / "conditions.yaml", TEXTS)
    return root / "adapters"


@pytest.fixture(scope="module")
def soup(adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that needs no learning; one run of each task was held out."""
    out = tmp_path_factory.mktemp("soup") / "g"
    method = ["--method", "soup", "--condition", "one_hot", "--held-out", "1"]
    assert main(["fit", str(adapters), "--out", str(out), *method]) == 0
    return out


@pytest.fixture(scope="module")
def learned(adapters: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of networks that is normalized per task."""
    out = tmp_path_factory.mktemp("learned") / "g"
    how = ["--preset", "smoke", "--condition", "one_hot", "--normalization", "per_task"]
    assert main(["fit", str(adapters), "--out", str(out), *how]) == 0
    return out


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cpd(hub: Hub, cache: Path) -> Iterator[Client]:
    with client(hub.url, cache) as running:
        yield running


def pushed(cpd: Client, generator: Path, name: str, *options: object) -> str:
    """Push a generator and return the page's address."""
    said = cpd("push", generator, name, "--license", "apache-2.0", *options)
    assert said.code == 0, said.err
    return said.out.strip()


def written(cpd: Client, generator: object, out: Path, *options: object) -> dict[str, bytes]:
    """Generate two adapters and return the bytes of their files."""
    said = cpd("generate", generator, "--condition", "films", "--n", 2, "--steps", 3, "--out", out, *options)
    assert said.code == 0, said.err
    return bytes_in(out)


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(said: Said) -> str:
    """Return the one sentence with which a command is refused."""
    lines = said.err.splitlines()
    assert said.code == 2 and said.out == "" and "Traceback" not in said.err, said.err
    assert [line.startswith("cpd: ") for line in lines].count(True) == 1 and lines[-1].startswith("cpd: "), said.err
    return lines[-1]


def not_generated(cpd: Client, name: object, out: Path) -> str:
    """Return the sentence with which a generator is refused; nothing is written."""
    said = refused(cpd("generate", name, "--condition", "films", "--out", out))
    assert not out.exists()
    return said


def not_pushed(cpd: Client, hub: Hub, generator: Path, name: str, *options: object) -> str:
    """Return the sentence with which a push is refused; the hub has nothing of it."""
    said = refused(cpd("push", generator, name, "--license", "apache-2.0", *options))
    assert name not in hub.repositories
    return said


def altered(generator: Path, out: Path, **changes: Any) -> Path:
    """Copy a generator with another description, and a manifest that fits it."""
    shutil.copytree(generator, out)
    about = artifacts.read_json(out / DESCRIPTION)
    artifacts.write_json(out / DESCRIPTION, about | changes)
    return listed_again(out)


def listed_again(folder: Path) -> Path:
    """Make a manifest anew, as a stranger can."""
    files = {name: artifacts.sha256(folder / name) for name in (DESCRIPTION, WEIGHTS)}
    artifacts.write_json(folder / artifacts.MANIFEST, {"spec": {}, "files": files})
    return folder


def described(generator: Path, out: Path, *texts: str) -> Path:
    """Copy a generator with other condition texts, which it knows as such; no encoder of sentences is needed."""
    about = artifacts.read_json(generator / DESCRIPTION)
    own = {task: [text] for task, text in zip(TEXTS, texts, strict=True)}
    return altered(generator, out, texts=own, encoder=about["encoder"] | {"kind": "description"})


def card_of(hub: Hub, name: str) -> tuple[dict[str, Any], str]:
    """Return the header of a card, and its text."""
    _, header, text = hub.repositories[name].files[CARD].decode().split("---\n", 2)
    return yaml.safe_load(header), text


def test_what_is_fetched_by_name_writes_the_same_bytes_as_the_folder(
    hub: Hub, cpd: Client, soup: Path, learned: Path, tmp_path: Path
) -> None:
    for name, generator in (("user/soup", soup), ("user/learned", learned)):
        assert pushed(cpd, generator, name) == f"{hub.url}/{name}"
        out, scaled = tmp_path / generator.parent.name, ("--task", "films")
        mine = written(cpd, generator, out / "mine", *scaled)
        assert len(mine) == 4 and written(cpd, name, out / "theirs", *scaled) == mine
    assert written(cpd, "user/learned", tmp_path / "other", *scaled, "--seed", 1) != mine


def shared(folder: Path, name: str) -> tuple[str, torch.Tensor]:
    """Push a generator to the hub and fetch it, in a client."""
    address = CondPDiff.from_pretrained(folder).push_to_hub(name, "mit", private=True)
    return address, CondPDiff.from_pretrained(name).generate("spam", 2, seed=3, steps=3, task="spam")


def test_a_generator_that_is_pushed_from_python_comes_back_by_its_name(hub: Hub, cpd: Client, learned: Path) -> None:
    address, made = cpd.pool.submit(shared, learned, "user/python").result()
    assert address == f"{hub.url}/user/python" and card_of(hub, "user/python")[0]["license"] == "mit"
    assert torch.equal(made, CondPDiff.from_pretrained(learned).generate("spam", 2, seed=3, steps=3, task="spam"))


def test_pushed_again_only_what_changed_is_committed_and_the_newest_is_fetched(
    hub: Hub, cpd: Client, soup: Path, learned: Path, tmp_path: Path
) -> None:
    pushed(cpd, soup, "user/again")
    first = written(cpd, "user/again", tmp_path / "first")
    pushed(cpd, soup, "user/again")
    assert hub.repositories["user/again"].commits == 1
    pushed(cpd, learned, "user/again")
    second = written(cpd, "user/again", tmp_path / "second", "--task", "films")
    assert first != second == written(cpd, learned, tmp_path / "mine", "--task", "films")


def test_a_private_generator_is_hidden_from_strangers(hub: Hub, cpd: Client, soup: Path, tmp_path: Path) -> None:
    pushed(cpd, soup, "user/private", "--private")
    command = ("generate", "user/private", "--condition", "films", "--out", tmp_path / "new")
    assert "or it is private; log in with `hf auth login`" in refused(cpd(*command, token=""))
    assert hub.repositories["user/private"].private and cpd(*command).code == 0


def test_the_card_says_what_was_learned_and_how_it_scored(hub: Hub, cpd: Client, soup: Path, tmp_path: Path) -> None:
    pushed(cpd, soup, "user/card")
    header, text = card_of(hub, "user/card")
    assert header["license"] == "apache-2.0" and header["library_name"] == "cpd"
    assert header["base_model"] == "tiny-bert" and {"lora", "peft"} <= set(header["tags"])
    for words in ("# card\n", "adapters of tiny-bert (rank 2)", "Method: soup", "conditions: one hot", "not evaluated"):
        assert words in text.replace(",\n", ", ")
    for task, condition in TEXTS.items():
        assert f"| {task} | {condition} | 2 | 1 | 1 |" in text.splitlines()
    artifacts.write_json(tmp_path / "evaluation.json", EVALUATION | {"command": "score {adapter}", "failed": []})
    pushed(cpd, soup, "user/card", "--evaluation", tmp_path)
    _, text = card_of(hub, "user/card")
    lines = text.splitlines()
    assert EVALUATION["verdict"] in lines and "not evaluated" not in text
    assert "| generated | 0.7123 |  | 12 |" in lines and "| run soup | 0.9 | -0.2 (-0.3 to -0.1) | 2 |" in lines


def test_nothing_of_this_machine_is_pushed(hub: Hub, cpd: Client, soup: Path, adapters: Path, tmp_path: Path) -> None:
    root = adapters.parent.parent
    assert str(root) in (adapters / "spam" / "run-0" / "step-0" / "adapter_config.json").read_text(), "this can fail"
    folder = shutil.copytree(soup, tmp_path / "g")
    (folder / "notes.txt").write_text("precious")
    failed = [["spam", "generated", f"no file {tmp_path}/x"]]
    told = EVALUATION | {"command": f"python {tmp_path}/score.py {{adapter}}", "failed": failed}
    artifacts.write_json(tmp_path / "evaluation.json", told)
    pushed(cpd, folder, "user/here", "--evaluation", tmp_path)
    files = hub.repositories["user/here"].files
    assert set(files) == {CARD, *FILES}
    for data in files.values():
        for path in (root, tmp_path, Path.home()):
            assert f"{path}/".encode() not in data


def test_the_command_in_a_card_is_one_that_works(
    hub: Hub, cpd: Client, soup: Path, learned: Path, tmp_path: Path
) -> None:
    odd = """Is "spam" what I'd say | not? $HOME `pwd`\nYes: {no} \\ ---"""
    strange = described(soup, tmp_path / "strange", odd, "Is it?")
    for i, generator in enumerate((soup, learned, strange)):
        pushed(cpd, generator, f"user/card{i}")
        (text,) = re.findall("```sh\n(.*?)\n```", card_of(hub, f"user/card{i}")[1], re.DOTALL)
        program, *words, out = shlex.split(text)
        assert (program, words[:2], out) == ("cpd", ["generate", f"user/card{i}"], "new")
        assert cpd(*words, tmp_path / str(i), "--n", 1).code == 0
        assert (tmp_path / str(i) / "000" / "adapter_model.safetensors").exists()
    rows = [line for line in card_of(hub, "user/card2")[1].splitlines() if line.startswith("| films |")]
    assert len(rows) == 1 and len(re.findall(r"(?<!\\)\|", rows[0])) == 6


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (400, '{"error": "license must be one of [mit]"}', "the hub answered 400 (license must be one of [mit])"),
        (401, "", "the hub answered 401; log in with `hf auth login`"),
        (403, "", "the hub answered 403; log in with `hf auth login`"),
        (500, "<html>Sorry</html>", "the hub answered 500"),
        (200, "<html>Welcome to the hotel</html>", "what answers is not the hub (a login page?)"),
    ],
)
def test_what_the_hub_refuses_is_said_in_one_sentence(
    hub: Hub, cpd: Client, soup: Path, tmp_path: Path, status: int, answer: str, words: str
) -> None:
    hub.answers["user/refused"] = status, answer
    assert not_pushed(cpd, hub, soup, "user/refused") == f"cpd: user/refused was not pushed to the hub: {words}"
    assert not_generated(cpd, "user/refused", tmp_path / "new").endswith(f": {words}")


def test_without_a_login_nothing_is_pushed(hub: Hub, cpd: Client, soup: Path) -> None:
    said = refused(cpd("push", soup, "user/stranger", "--license", "mit", token=""))
    assert "log in with `hf auth login`" in said and "user/stranger" not in hub.repositories


def test_without_a_hub_there_is_one_sentence_and_what_was_fetched_before(
    hub: Hub, cpd: Client, cache: Path, soup: Path, tmp_path: Path
) -> None:
    pushed(cpd, soup, "user/kept")
    mine = written(cpd, "user/kept", tmp_path / "mine")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    other = tmp_path / "other"
    command = [sys.executable, "-m", "cpd", "generate", "user/unknown", "--condition", "films", "--out", str(other)]
    off: dict[str, Any] = {"env": environment(hub.url, cache) | {"HF_HUB_OFFLINE": "1"}, "cwd": tmp_path}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **off)
    with client(nowhere, cache) as alone:
        assert written(alone, "user/kept", tmp_path / "new") == mine
        none = [alone("push", soup, "user/kept", "--license", "mit"), alone(*command[3:])]
    out, err = running.communicate()
    for said in (*none, Said(running.returncode, out, err)):
        assert refused(said).endswith(": the hub cannot be reached (offline?)") and said.err.count("\n") == 1
    assert not other.exists()


def test_unknown_names_and_names_that_are_none_are_refused(hub: Hub, cpd: Client, soup: Path, tmp_path: Path) -> None:
    assert "it has no such name, or it is private" in not_generated(cpd, "user/unknown", tmp_path / "new")
    hub.shared("user/other", {"model.safetensors": b"", CARD: b"# A model"})
    assert "holds no generator.json" in not_generated(cpd, "user/other", tmp_path / "new")
    assert "no-slash" in not_generated(cpd, "no-slash", tmp_path / "new")
    assert "'no-slash' is no name on the hub; write it as user/name" in not_pushed(cpd, hub, soup, "no-slash")
    for name in ("../user/name", "user/name/more", "us..er/name"):
        assert name in not_pushed(cpd, hub, soup, name)
        not_generated(cpd, name, tmp_path / "new")


def test_what_is_not_to_be_shared_is_refused_before_anything_is_sent(
    hub: Hub, cpd: Client, soup: Path, tmp_path: Path
) -> None:
    assert "evaluation.json" in not_pushed(cpd, hub, soup, "user/no", "--evaluation", tmp_path)
    assert "manifest.json" in not_pushed(cpd, hub, tmp_path, "user/no")
    path = described(soup, tmp_path / "path", TEXTS["films"], str(tmp_path))
    assert f"'{tmp_path}' is a path of this machine" in not_pushed(cpd, hub, path, "user/no")
    encoder, texts = artifacts.read_json(soup / DESCRIPTION)["encoder"], {task: [f"/gone/{task}.png"] for task in TEXTS}
    pictures = altered(soup, tmp_path / "pictures", texts=texts, encoder=encoder | {"kind": "images"})
    assert "'/gone/films.png' is a path of this machine" in not_pushed(cpd, hub, pictures, "user/no")
    local = altered(soup, tmp_path / "local", encoder=encoder | {"model": "/gone/encoder"})
    assert "'/gone/encoder' is a folder of this machine" in not_pushed(cpd, hub, local, "user/no")
    damaged = shutil.copytree(soup, tmp_path / "damaged")
    (damaged / WEIGHTS).write_bytes((damaged / WEIGHTS).read_bytes()[:-1])
    assert "its manifest says" in not_pushed(cpd, hub, damaged, "user/no")


def test_a_sentence_that_begins_like_a_path_may_be_shared(hub: Hub, cpd: Client, soup: Path, tmp_path: Path) -> None:
    long = "/r/askscience: is the answer right? " * 20
    pushed(cpd, described(soup, tmp_path / "g", long, "/r/spam or not?"), "user/slash")
    assert f"| films | {long[:200].strip()} |" in hub.repositories["user/slash"].files[CARD].decode()


class Bomb:
    """What explodes when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("listed", [False, True])
def test_a_strangers_pickle_is_refused_and_never_opened(
    hub: Hub, cpd: Client, soup: Path, tmp_path: Path, listed: bool
) -> None:
    folder, exploded = shutil.copytree(soup, tmp_path / "g"), tmp_path / "exploded"
    torch.save(Bomb(exploded), folder / WEIGHTS)
    name = f"user/pickle{listed}"
    hub.shared(name, bytes_in(listed_again(folder) if listed else folder))
    said = not_generated(cpd, name, tmp_path / "new")
    assert ("pickles are never opened" if listed else "its manifest says") in said and not exploded.exists()
    pickle.loads(pickle.dumps(Bomb(exploded)))
    assert exploded.exists(), "this can fail"


def test_only_the_files_of_a_generator_are_fetched(
    hub: Hub, cpd: Client, cache: Path, soup: Path, tmp_path: Path
) -> None:
    more = {"evil.bin": pickle.dumps(Bomb(tmp_path / "exploded")), f"more/{WEIGHTS}": b"1", "modeling.py": b"1 / 0"}
    hub.shared("user/more", bytes_in(soup) | more)
    assert written(cpd, "user/more", tmp_path / "theirs") == written(cpd, soup, tmp_path / "mine")
    fetched = [name.removeprefix("user/more/") for name in hub.fetched if name.startswith("user/more/")]
    assert sorted(fetched) == sorted(FILES) and not (tmp_path / "exploded").exists()
    (snapshot,) = (cache / "hub" / "models--user--more" / "snapshots").iterdir()
    assert set(bytes_in(snapshot)) == set(FILES)


def test_a_generator_of_another_format_or_method_is_refused_by_name(
    hub: Hub, cpd: Client, soup: Path, tmp_path: Path
) -> None:
    hub.shared("user/future", bytes_in(altered(soup, tmp_path / "future", format=99)))
    assert "is not a generator of format 1" in not_generated(cpd, "user/future", tmp_path / "new")
    hub.shared("user/magic", bytes_in(altered(soup, tmp_path / "magic", method="magic")))
    assert "no method 'magic'; there are cond_pdiff" in not_generated(cpd, "user/magic", tmp_path / "new")


def test_a_strangers_manifest_leads_to_no_other_file(hub: Hub, cpd: Client, soup: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1234")
    own = artifacts.read_json(soup / artifacts.MANIFEST)["files"]
    more = [{str(secret): artifacts.sha256(secret)}, {"../../x": "0" * 64}, {"/dev/zero": ""}, {DESCRIPTION: 7}]
    manifests = [{"spec": {}, "files": own | each} for each in more]
    manifests += [{"spec": {}, "files": {}}, {"spec": {}, "files": [WEIGHTS]}, {"files": own}, {}, [1], None]
    for i, manifest in enumerate(manifests):
        hub.shared(f"user/manifest{i}", bytes_in(soup) | {artifacts.MANIFEST: json.dumps(manifest).encode()})
        said = not_generated(cpd, f"user/manifest{i}", tmp_path / "new")
        assert f"manifest.json of user/manifest{i} on the hub is not that of a generator" in said
    hub.shared("user/none", {name: data for name, data in bytes_in(soup).items() if name != artifacts.MANIFEST})
    assert "user/none on the hub holds no manifest.json" in not_generated(cpd, "user/none", tmp_path / "new")
    hub.shared("user/text", bytes_in(soup) | {artifacts.MANIFEST: b"\xff{"})
    assert "not readable JSON" in not_generated(cpd, "user/text", tmp_path / "new")
