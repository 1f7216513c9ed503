"""A stand-in for the Hugging Face hub on loopback: the part of its HTTP API by which models are written and read."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_somebody"
Files = dict[str, bytes]


class HubServer(ThreadingHTTPServer):
    """Models in memory: id -> name of a file -> its bytes. Writing needs TOKEN.

    Attributes:
        models: all of them.
        private: ids of private ones.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models: dict[str, Files] = {}
        self.private: set[str] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = re.fullmatch(
            r"(?:/api/models)?/([^/]+/[^/]+)/(revision|tree|resolve)/[^/?]+/?([^?]*)(?:\?.*)?", self.path
        )
        files = self.server.models.get(asked[1]) if asked else None
        if asked is None or files is None:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif asked[2] == "revision":
            self._answer(200, {"id": asked[1], "sha": _hash(repr(sorted(files.items())).encode()), "siblings": []})
        elif asked[2] == "tree":
            kind = {"type": "file"}
            self._answer(
                200, [kind | {"path": file, "size": len(files[file]), "oid": _hash(files[file])} for file in files]
            )
        elif asked[3] in files:
            commit = _hash(repr(sorted(files.items())).encode())
            self._answer(200, files[asked[3]], {"ETag": f'"{_hash(files[asked[3]])}"', "X-Repo-Commit": commit})
        else:
            self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            wanted = json.loads(body)
            name = f"{wanted['organization']}/{wanted['name']}"
            self.server.models.setdefault(name, {})
            if wanted.get("private") or wanted.get("visibility") == "private":
                self.server.private.add(name)
            self._answer(200, {"url": f"{self.server.endpoint}/{name}"})
        elif re.fullmatch(r"/api/models/(.+)/preupload/main(\?.*)?", self.path):
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            self._answer(200, {"files": [{"path": file["path"]} | mode for file in json.loads(body)["files"]]})
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main(\?.*)?", self.path):
            files = self.server.models[match[1]]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            made = {"commitOid": "0" * 40, "commitUrl": f"{self.server.endpoint}/{match[1]}/commit/main"}
            self._answer(200, made | {"success": True})
        else:
            self._answer(404, {"error": f"no {self.path}"})

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def serving() -> Iterator[HubServer]:
    """The server, running in a thread."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
