"""A hub on this machine: the calls of huggingface_hub that pushing and pulling make, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "c0ffee" + "0" * 34


@dataclass
class Hub:
    """What the hub holds and was asked.

    Attributes:
        token: The only one that may write.
        repos: Content of each file, by repository and path.
        private: Repositories that are shown to nobody without the token.
        stored: Large files by their sha256, before a commit names them.
        large: Names of files that go the way of large ones.
        failing: Status that every request is answered with; None to work.
        upload_status: What the content of a large file is answered with.
        asked: Method and path of each request.
        address: Where it answers.
    """

    token: str = "hf_this-is-secret"
    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    stored: dict[str, bytes] = field(default_factory=dict)
    large: str = r".*\.safetensors"
    failing: int | None = None
    upload_status: int = 200
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, body: bytes, allowed: bool) -> tuple[int, object, dict[str, str]]:
        """Status, content and headers of the answer."""
        self.asked.append(f"{method} {path}")
        if self.failing is not None:
            return self.failing, {"error": f"no, {self.token}"}, {}
        if path == "/api/repos/create":
            return self._create(json.loads(body), allowed)
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if found := re.fullmatch(r"/lfs/(\w+)", path):
            self.stored[found[1]] = body
            return self.upload_status, {}, {}
        repo = re.match(r"(?:/api/models)?/([\w.-]+/(?:(?!\.git/)[\w.-])+)", path)[1]
        if repo not in self.repos or (repo in self.private and not allowed):
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        if method == "POST" and not allowed:
            return 403, {"error": "no write access"}, {}
        return self._of_repo(repo, path.partition(repo)[2], body)

    def _create(self, asked: dict[str, object], allowed: bool) -> tuple[int, object, dict[str, str]]:
        if not allowed:
            return 401, {"error": "Invalid username or password."}, {}
        repo = f"{asked['organization']}/{asked['name']}"
        if repo in self.repos:
            return 409, {"error": "You already created this model repo", "url": f"{self.address}/{repo}"}, {}
        self.repos[repo] = {}
        hidden = asked.get("private") or asked.get("visibility") == "private"  # as versions of the client ask
        self.private |= {repo} if hidden else set()
        return 200, {"url": f"{self.address}/{repo}"}, {}

    def _of_repo(self, repo: str, rest: str, body: bytes) -> tuple[int, object, dict[str, str]]:
        files = self.repos[repo]
        if rest.startswith("/preupload/"):
            asked = [each["path"] for each in json.loads(body)["files"]]
            mode = {name: "lfs" if re.fullmatch(self.large, name) else "regular" for name in asked}
            return 200, {"files": [{"path": n, "uploadMode": mode[n], "shouldIgnore": False} for n in asked]}, {}
        if rest == ".git/info/lfs/objects/batch":
            objects = json.loads(body)["objects"]
            each = [o | {"actions": {"upload": {"href": f"{self.address}/lfs/{o['oid']}"}}} for o in objects]
            return 200, {"transfer": "basic", "objects": each}, {}
        if rest.startswith("/commit/"):
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = self.stored[value["oid"]]
            return 200, {"commitUrl": f"{self.address}/{repo}/commit/{COMMIT}", "commitOid": COMMIT}, {}
        if rest and rest.split("/")[2] not in ("main", COMMIT):
            return 404, {"error": "Revision not found"}, {"X-Error-Code": "RevisionNotFound"}
        if rest.startswith("/tree/"):
            return 200, [_entry(name, content) for name, content in files.items()], {}
        if rest.startswith("/resolve/"):
            content = files[rest.split("/", 3)[3]]
            return 200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        siblings = [{"rfilename": name} for name in files]
        return 200, {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings, "tags": []}, {}


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Answer requests until the block ends; ``hub.address`` is where."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = self.headers.get("Authorization") == f"Bearer {hub.token}"
            status, content, headers = hub.answer(self.command, self.path.partition("?")[0], body, allowed)
            sent = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(sent))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(sent)

        do_GET = do_HEAD = do_POST = do_PUT = _do

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
