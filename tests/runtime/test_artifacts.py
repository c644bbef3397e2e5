from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from cpd.runtime import artifacts, tensor_files, wheels


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPD_ARTIFACTS", str(tmp_path / "artifacts"))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fill(folder: Path) -> Path:
    with artifacts.building(folder, {"seed": 3}) as partial:
        tensor_files.write_tensors(partial / "sub" / "t.safetensors", {"x": torch.arange(3.0)})
        (partial / ".state").write_text("half done")
    return folder


def test_root_is_the_named_folder_else_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert artifacts.root() == tmp_path / "artifacts"
    monkeypatch.delenv("CPD_ARTIFACTS")
    assert artifacts.root() == Path(artifacts.__file__).resolve().parents[2] / "artifacts"


def test_address_depends_on_the_spec_and_not_on_its_order() -> None:
    first = artifacts.address("runs", {"a": 1, "b": [2, 3]})
    assert first == artifacts.address("runs", {"b": [2, 3], "a": 1})
    others = [("runs", {"a": 1, "b": [3, 2]}), ("runs", {"a": 1.5, "b": [2, 3]}), ("zoos", {"a": 1, "b": [2, 3]})]
    assert len({first, *(artifacts.address(kind, spec) for kind, spec in others)}) == 4


def test_building_names_the_folder_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "thing"
    with artifacts.building(folder) as partial:
        assert not folder.exists() and partial.is_dir()
    assert artifacts.is_complete(folder) and not partial.exists()
    assert artifacts.verify(fill(tmp_path / "filled")) == {"seed": 3}
    assert files(tmp_path / "filled") == ["manifest.json", "sub/t.safetensors"], "working state must not be kept"
    with pytest.raises(FileExistsError, match="choose another folder"):
        fill(folder)


def test_an_interrupted_build_keeps_its_working_state_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "thing"
    with pytest.raises(RuntimeError), artifacts.building(folder) as partial:
        (partial / ".state").write_text("step 7")
        raise RuntimeError
    assert not folder.exists() and not artifacts.is_complete(folder)
    with artifacts.building(folder) as partial:
        assert (partial / ".state").read_text() == "step 7"
    assert files(folder) == ["manifest.json"]


def test_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = fill(tmp_path / "one"), fill(tmp_path / "two")
    assert [(first / name).read_bytes() for name in files(first)] == [(second / n).read_bytes() for n in files(second)]


def test_verify_finds_a_changed_and_a_missing_file(tmp_path: Path) -> None:
    folder = fill(tmp_path / "thing")
    tensors = folder / "sub" / "t.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 1
    tensors.write_bytes(data)
    with pytest.raises(ValueError, match=r"t\.safetensors has sha256 \w{12}, its manifest says"):
        artifacts.verify(folder)
    tensors.unlink()
    with pytest.raises(FileNotFoundError, match="t.safetensors"):
        artifacts.verify(folder)
    with pytest.raises(FileNotFoundError, match="manifest"):
        artifacts.verify(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_failed_write_keeps_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = artifacts.write_bytes(tmp_path / "sub" / "data", b"old")

    def fail_halfway(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:2])
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "write_bytes", fail_halfway)
    with pytest.raises(OSError, match=os.strerror(code)):
        artifacts.write_json(tmp_path / "sub" / "new.json", {})
    assert files(tmp_path) == ["sub/data"] and path.read_bytes() == b"old"


def test_tensors_that_do_not_fit_keep_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tensor_files.write_tensors(tmp_path / "t.safetensors", {"x": torch.ones(4)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"t\.safetensors could not be written: .*File too large"):
            tensor_files.write_tensors(path, {"x": torch.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(tmp_path) == ["t.safetensors"] and torch.equal(tensor_files.read_tensors(path)["x"], torch.ones(4))


def test_full_disk_is_an_error_before_a_matrix_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        tensor_files.create_matrix(tmp_path / "m.safetensors", 10, 10)
    assert files(tmp_path) == []


def test_folder_that_cannot_be_made_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"), artifacts.building(tmp_path / "file" / "thing"):
        pass
    assert files(tmp_path) == ["file"]


def test_tensors_round_trip_with_equal_bytes_in_any_order(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(3, 4), "a": torch.arange(5), "c": torch.randn(4, 3).bfloat16().T}
    first = tensor_files.write_tensors(tmp_path / "one", tensors, {"who": "me"})
    second = tensor_files.write_tensors(tmp_path / "two", dict(reversed(tensors.items())), {"who": "me"})
    assert first.read_bytes() == second.read_bytes()
    read = tensor_files.read_tensors(first)
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)
    assert tensor_files.read_metadata(first) == {"who": "me"}


def test_json_refuses_nan_and_names_a_truncated_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        artifacts.write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert files(tmp_path) == []
    artifacts.write_json(tmp_path / "x.json", {"a": [1, 2]})
    assert artifacts.read_json(tmp_path / "x.json") == {"a": [1, 2]}
    (tmp_path / "x.json").write_text('{"a": [1')
    with pytest.raises(ValueError, match="x.json is not readable JSON"):
        artifacts.read_json(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="x.json is not readable JSON"):
        artifacts.read_json(tmp_path / "x.json")


def test_matrix_keeps_its_rows_and_reads_as_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    made = tensor_files.create_matrix(path, 3, 5)
    assert made.shape == (3, 5) and not made.any()
    made[1] = np.arange(5)
    made.flush()
    assert tensor_files.create_matrix(path, 3, 5)[1, 4] == 4, "an unfinished matrix is opened again"
    read = tensor_files.open_matrix(path)
    assert isinstance(read, np.memmap) and not read.flags.writeable
    assert np.array_equal(read, tensor_files.read_tensors(path)["vectors"].numpy())
    assert tensor_files.create_matrix(path, 4, 5).shape == (4, 5), "one of another shape is replaced"


@pytest.mark.parametrize("size", [0, 8, 100])
def test_damaged_matrix_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "m.safetensors"
    tensor_files.create_matrix(path, 30, 5).flush()
    with path.open("r+b") as file:
        file.truncate(size)
    with pytest.raises(ValueError, match="m.safetensors is not a whole safetensors file"):
        tensor_files.open_matrix(path)


def test_tensors_that_are_no_matrix_are_refused(tmp_path: Path) -> None:
    path = tensor_files.write_tensors(tmp_path / "other", {"vectors": torch.zeros(4)})
    with pytest.raises(ValueError, match="no float32 matrix"):
        tensor_files.open_matrix(path)
    with pytest.raises(FileNotFoundError, match="there is no file"):
        tensor_files.open_matrix(tmp_path / "missing")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its index, with one wheel of data."""
    folder = tmp_path / "index"
    folder.mkdir()
    about = {"METADATA": "Metadata-Version: 2.1\nName: plain-facts\nVersion: 1.0\n", "RECORD": ""}
    about["WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / "plain_facts-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("facts/data.txt", "water is wet")
        for name, text in about.items():
            wheel.writestr(f"plain_facts-1.0.dist-info/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_wheel_is_fetched_once_by_its_hash(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = artifacts.sha256(index / "plain_facts-1.0-py3-none-any.whl")
    wheel = wheels.fetch_wheel("plain-facts==1.0", digest)
    assert zipfile.ZipFile(wheel).read("facts/data.txt") == b"water is wet"
    assert wheel.parent == artifacts.root() / "wheels" and files(wheel.parent) == [wheel.name]
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a cached wheel was downloaded again"))
    assert wheels.fetch_wheel("plain-facts==1.0", digest) == wheel


def test_wheel_with_another_hash_is_refused_and_not_kept(index: Path) -> None:
    wrong = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(ValueError, match=f"facts==1.0 does not have the sha256 {wrong[:12]}"):
        wheels.fetch_wheel("plain-facts==1.0", wrong)
    assert not list(artifacts.root().rglob("*.whl"))


def test_tampered_wheel_in_the_cache_is_not_used(index: Path) -> None:
    digest = artifacts.sha256(index / "plain_facts-1.0-py3-none-any.whl")
    cached = wheels.fetch_wheel("plain-facts==1.0", digest)
    cached.write_bytes(b"tampered")
    assert artifacts.sha256(wheels.fetch_wheel("plain-facts==1.0", digest)) == digest


def test_failed_download_says_what_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "warning\nERROR: No route to host\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConnectionError, match=r"facts==1.0 could not be downloaded \(ERROR: No route to host\)"):
        wheels.fetch_wheel("plain-facts==1.0", "0" * 64)
    assert not list(artifacts.root().rglob("*.whl"))


def test_manifest_names_every_file(tmp_path: Path) -> None:
    manifest = json.loads((fill(tmp_path / "thing") / "manifest.json").read_text())
    assert list(manifest["files"]) == ["sub/t.safetensors"]


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_what_is_made_within_a_block_lies_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv("CPD_ARTIFACTS", raising=False)
    if before:
        monkeypatch.setenv("CPD_ARTIFACTS", before)
    outside = artifacts.root()
    with pytest.raises(ZeroDivisionError), artifacts.rooted(tmp_path / "own"):
        assert artifacts.address("runs", {}).parent == tmp_path / "own" / "runs"
        raise ZeroDivisionError
    assert artifacts.root() == outside and os.environ.get("CPD_ARTIFACTS") == before


def test_tensors_that_are_read_begin_where_torch_would_put_them(tmp_path: Path) -> None:
    made = {"a": torch.ones(3), "b": torch.randn(5, 7), "c": torch.ones(2)}
    found = tensor_files.read_tensors(tensor_files.write_tensors(tmp_path / "file.safetensors", made))
    assert all(torch.equal(found[name], tensor) for name, tensor in made.items())
    assert {tensor.data_ptr() % 64 for tensor in found.values()} == {0}
