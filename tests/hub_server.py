"""A hub on this machine that answers ``huggingface_hub`` as the real one does, and processes that are its clients.

A client reads where its hub is when it is imported; so it is a process of its own, with an environment of its own.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import urlsplit

TOKEN = "hf_of_the_tests"
NAME = r"(?P<name>[^/]+/[^/]+)"


@dataclass
class Repository:
    """What a hub keeps under a name."""

    private: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    @property
    def revision(self) -> str:
        """Hash of the last commit, as git has it: 40 digits."""
        listed = [self.commits, {name: blob(data) for name, data in sorted(self.files.items())}]
        return hashlib.sha1(json.dumps(listed).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """Repositories in memory.

    Attributes:
        repositories: by name.
        answers: name -> status and text with which everything that is asked about it is answered.
        fetched: paths of the files that were sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Asked)
        self.repositories: dict[str, Repository] = {}
        self.answers: dict[str, tuple[int, str]] = {}
        self.fetched: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def shared(self, name: str, files: Mapping[str, bytes]) -> Repository:
        """Keep files under a name, whatever they are."""
        self.repositories[name] = Repository(files=dict(files), commits=1)
        return self.repositories[name]


class _Asked(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Hub

    def do_POST(self) -> None:
        self._answer(
            {
                r"/api/repos/create": self._create,
                r"/api/validate-yaml": lambda: self._json({"errors": [], "warnings": []}),
                rf"/api/models/{NAME}/preupload/main": self._preupload,
                rf"/api/models/{NAME}/commit/main": self._commit,
            }
        )

    def do_GET(self) -> None:
        self._answer(
            {
                rf"/api/models/{NAME}(/revision/main)?": self._info,
                rf"/api/models/{NAME}/tree/(?P<revision>\w+)": self._tree,
                rf"/{NAME}/resolve/(?P<revision>\w+)/(?P<file>.+)": self._file,
            }
        )

    do_HEAD = do_GET

    def _answer(self, ways: Mapping[str, Callable[..., None]]) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        found = [(way, told) for pattern, way in ways.items() if (told := re.fullmatch(pattern, path))]
        if not found:
            return self._json({"error": "Sorry, we can't find the page you are looking for."}, 404)
        way, told = found[0][0], found[0][1].groupdict()
        if way == self._create:
            asked = json.loads(self.body)
            told["name"] = f"{asked['organization']}/{asked['name']}"
        name, known = told.get("name", ""), self.headers.get("Authorization") == f"Bearer {TOKEN}"
        there = self.server.repositories.get(name)
        if answer := self.server.answers.get(name):
            self._send(answer[0], answer[1].encode(), {"Content-Type": "text/html"})
        elif self.command == "POST" and not known:
            self._json({"error": "Invalid username or password."}, 401)
        elif name and way != self._create and (there is None or there.private and not known):
            self._json({"error": "Repository not found"}, 404 if known else 401, {"X-Error-Code": "RepoNotFound"})
        else:
            way(**told)

    def _create(self, name: str) -> None:
        page = {"url": f"{self.server.url}/{name}", "name": name}
        if name in self.server.repositories:
            return self._json(page | {"error": "You already created this model repo"}, 409)
        self.server.repositories[name] = Repository(json.loads(self.body).get("visibility") == "private")
        self._json(page)

    def _preupload(self, name: str) -> None:
        there = self.server.repositories[name].files
        files = [
            {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": oid}
            for each in json.loads(self.body)["files"]
            for oid in [blob(there[each["path"]]) if each["path"] in there else None]
        ]
        self._json({"files": files})

    def _commit(self, name: str) -> None:
        repository = self.server.repositories[name]
        for line in map(json.loads, self.body.splitlines()):
            if line["key"] == "file" and line["value"]["encoding"] == "base64":
                repository.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] != "header":
                raise NotImplementedError(line["key"])
        repository.commits += 1
        url = f"{self.server.url}/{name}/commit/{repository.revision}"
        self._json({"success": True, "commitOid": repository.revision, "commitUrl": url})

    def _info(self, name: str) -> None:
        there = self.server.repositories[name]
        listed = [{"rfilename": file} for file in there.files]
        self._json({"id": name, "sha": there.revision, "private": there.private, "siblings": listed})

    def _tree(self, name: str, revision: str) -> None:
        files = self.server.repositories[name].files
        self._json(
            [{"type": "file", "path": file, "size": len(data), "oid": blob(data)} for file, data in files.items()]
        )

    def _file(self, name: str, revision: str, file: str) -> None:
        there = self.server.repositories[name]
        if file not in there.files:
            return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        if self.command == "GET":
            self.server.fetched.append(f"{name}/{file}")
        told = {"ETag": f'"{blob(there.files[file])}"', "X-Repo-Commit": there.revision}
        self._send(200, there.files[file], told)

    def _json(self, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | dict(headers or {}))

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def blob(data: bytes) -> str:
    """Return git's hash of a file."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@contextmanager
def serving() -> Iterator[Hub]:
    """Yield a hub that answers."""
    with Hub() as hub:
        thread = Thread(target=hub.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class Said(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Client:
    """A process that lives in an environment of its own and does what it is given."""

    pool: ProcessPoolExecutor

    def __call__(self, *arguments: object, token: str = TOKEN) -> Said:
        """Run a command of cpd."""
        return self.pool.submit(_command, [str(argument) for argument in arguments], token).result()


def environment(url: str, cache: Path) -> dict[str, str]:
    """Return what a process needs in its environment for a hub and a cache of its own."""
    own = {"HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "HF_TOKEN": TOKEN}
    offline = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return os.environ | own | offline | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@contextmanager
def client(url: str, cache: Path) -> Iterator[Client]:
    """Yield a client of a hub."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with patch.dict(os.environ, environment(url, cache)):
            pool.submit(os.getpid).result()
        yield Client(pool)


def _command(arguments: list[str], token: str) -> Said:
    from cpd.__main__ import main

    out, err = io.StringIO(), io.StringIO()
    with patch.dict(os.environ, {"HF_TOKEN": token}), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Said(code, out.getvalue(), err.getvalue())
