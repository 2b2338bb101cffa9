"""The programs of tests/clients: each uses one package as its users do, and is asked for answers line by line."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "tests" / "clients"
NODE_MODULES = HERE / "node_modules"
ENVIRONMENTS = ROOT / ".cache" / "clients"
PATIENCE = 60  # seconds until an answer


class Refused(Exception):
    """A package raised an error."""

    def __init__(self, name: str, status: int, message: str) -> None:
        super().__init__(message)
        self.name, self.status, self.message = name, status, message


@dataclass(frozen=True)
class Package:
    """A package, and the program that uses it. `home`: where scripts/install-clients puts it."""

    name: str
    program: str
    home: Path

    @property
    def command(self) -> list[str]:
        if self.program.endswith(".mjs"):
            return ["node", str(HERE / self.program)]
        python = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
        return [str(self.home / python), "-m", f"tests.clients.{Path(self.program).stem}"]

    @property
    def mark(self) -> pytest.MarkDecorator:
        there = self.home.is_dir() and shutil.which(self.command[0]) is not None
        return pytest.mark.skipif(not there, reason=f"needs {self.name}: scripts/install-clients")


PACKAGES = {
    one.name: one
    for one in (
        Package("ai", "with-ai.mjs", NODE_MODULES / "workers-ai-provider"),
        Package("ai-utils", "with-ai-utils.mjs", NODE_MODULES / "@cloudflare/ai-utils"),
        Package("cloudflare", "with_cloudflare.py", Path(sys.prefix)),
        Package("cloudflare.js", "with-cloudflare.mjs", NODE_MODULES / "cloudflare"),
        Package("langchain", "with_langchain.py", ENVIRONMENTS / "langchain"),
        Package("langchain.js", "with-langchain.mjs", NODE_MODULES / "@langchain/cloudflare"),
        Package("litellm", "with_litellm.py", ENVIRONMENTS / "litellm"),
        Package("local-ai", "with-local-ai.mjs", HERE),
        Package("openai", "with_openai.py", ENVIRONMENTS / "openai"),
        Package("openai.js", "with-openai.mjs", NODE_MODULES / "openai"),
    )
}


@dataclass(frozen=True)
class Program:
    """One that runs."""

    package: Package
    process: subprocess.Popen[str]

    def __call__(self, call: str, **asked: Any) -> Any:
        """What came of a call. Raises `Refused`."""
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps({"call": call, **asked}), file=self.process.stdin, flush=True)
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        line = self.process.stdout.readline()
        watch.cancel()
        assert line, f"{self.package.program} ended, or did not answer within {PATIENCE} s"
        said = json.loads(line)
        if "error" in said:
            raise Refused(**said["error"])
        return said["result"]


@contextlib.contextmanager
def started(package: Package, server: str, token: str, home: Path) -> Iterator[Program]:
    """`server` is its address; `home` the home of the program, which finds nobody's settings there."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment = {**kept, "HOME": str(home), "USERPROFILE": str(home), "PYTHONUTF8": "1", "SERVER": server}
    environment |= {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "CLOUDFLARE_API_TOKEN": token}
    environment["CLOUDFLARE_BASE_URL"] = f"{server}/client/v4"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(package.command, cwd=ROOT, env=environment, **pipes) as process:
        try:
            yield Program(package, process)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(PATIENCE)
