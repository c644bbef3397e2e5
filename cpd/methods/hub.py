"""Generators on the Hugging Face hub: fetched by name, and pushed with a card that says what they are.

What is fetched is a stranger's: only the files of a generator are taken, each is compared with its manifest, and
nothing is unpickled.

Source: ours, through ``huggingface_hub``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpd.methods.cards import card, texts
from cpd.runtime import artifacts

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

DESCRIPTION, WEIGHTS = "generator.json", "generator.safetensors"
FILES = (DESCRIPTION, WEIGHTS, artifacts.MANIFEST)
CARD, EVALUATION = "README.md", "evaluation.json"
NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def where(generator: Path | str) -> Path:
    """Return the folder of a generator: itself, or of one on the hub the folder that it was fetched to.

    Args:
        generator: a folder, or a name as in user/name.

    Raises:
        ValueError: if there is no such folder, and the hub has no generator of that name or cannot be reached; or what
            it has is not whole, or its manifest names other files than a generator's.
    """
    if Path(generator).exists() or not NAME.fullmatch(str(generator)):
        return Path(generator)
    from huggingface_hub import snapshot_download

    with _plainly(f"there is no folder {generator}, and it is not fetched from the hub either"):
        found = Path(snapshot_download(str(generator), allow_patterns=list(FILES)))
    if missing := [file for file in FILES if not (found / file).exists()]:
        raise ValueError(f"{generator} on the hub holds no {missing[0]}; name a generator that `cpd push` wrote")
    _require_own_files(artifacts.read_json(found / artifacts.MANIFEST), str(generator))
    return found


def _require_own_files(manifest: Any, name: str) -> None:
    """Refuse a stranger's manifest of other files: whatever it names is opened to be hashed, a device for example."""
    files = manifest.get("files") if isinstance(manifest, dict) and "spec" in manifest else None
    own = {DESCRIPTION: str, WEIGHTS: str}
    if not isinstance(files, dict) or {file: type(hashed) for file, hashed in files.items()} != own:
        raise ValueError(
            f"{artifacts.MANIFEST} of {name} on the hub is not that of a generator, with sha256 of {DESCRIPTION} and "
            f"{WEIGHTS} only; name a generator that `cpd push` wrote"
        )


def push(generator: Path, name: str, license: str, evaluation: Path | None = None, private: bool = False) -> str:
    """Share a generator on the hub, with a model card.

    Args:
        generator: folder that ``save_pretrained`` wrote.
        name: user/name.
        license: identifier, as the hub names it.
        evaluation: folder that ``cpd evaluate`` wrote; its table goes into the card.
        private: whether others see it.

    Returns:
        The address of its page.

    Raises:
        FileNotFoundError: if there is no generator or no evaluation.
        ValueError: if the name is none, a file differs from its manifest, a condition or the sentence encoder is a path
            of this machine, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name on the hub; write it as user/name")
    artifacts.verify(generator)
    about = artifacts.read_json(generator / DESCRIPTION)
    _require_no_paths(about)
    found = artifacts.read_json(evaluation / EVALUATION) if evaluation else None
    with tempfile.TemporaryDirectory() as folder, _plainly(f"{name} was not pushed to the hub"):
        for file in FILES:
            shutil.copy(generator / file, folder)
        artifacts.write_bytes(Path(folder) / CARD, card(name, about, license, found).encode())
        api = HfApi()
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="A generator of LoRA adapters")
    return address


def _require_no_paths(about: Mapping[str, Any]) -> None:
    """Refuse a generator that names what is on this machine only."""
    pictures = about["encoder"]["kind"] == "images"
    for text in (text for own in texts(about).values() for text in own):
        if Path(text).is_absolute() and (pictures or os.path.exists(text)):
            raise ValueError(
                f"the condition {text!r} is a path of this machine; name pictures in conditions.yaml by relative paths "
                "and fit again"
            )
    if Path(model := about["encoder"]["model"]).is_absolute() or Path(model).is_dir():
        raise ValueError(
            f"the sentence encoder {model!r} is a folder of this machine; fit again with one that is on the hub"
        )


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Turn what goes wrong between here and the hub into one sentence."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except RepositoryNotFoundError:
        raise ValueError(f"{what}: it has no such name, or it is private; log in with `hf auth login`") from None
    except HFValidationError as error:
        raise ValueError(f"{what}: {error}") from None
    except HfHubHTTPError as error:
        raise ValueError(f"{what}: {_answered(error)}") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HTTPError) as error:
        if isinstance(error.__cause__, HfHubHTTPError):
            raise ValueError(f"{what}: {_answered(error.__cause__)}") from None
        raise ValueError(f"{what}: the hub cannot be reached (offline?)") from None
    except json.JSONDecodeError:
        raise ValueError(f"{what}: what answers is not the hub (a login page?)") from None


def _answered(error: HfHubHTTPError) -> str:
    """Say what the hub answered, with its own words where it has some."""
    code, words = error.response.status_code, f" ({error.server_message})" if error.server_message else ""
    return f"the hub answered {code}{words}" + ("; log in with `hf auth login`" if code in (401, 403) else "")
