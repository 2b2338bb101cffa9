"""The fenced blocks of README.md and docs/, and the small machine on which `tests/test_docs.py` runs them.

The words behind a fence say what is in it: a language, and where there are several ways to run that, which one
(`python server` is for a server that runs). Blocks that are indented show what is printed, and are not run.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.models import random_model
from tests.servers import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "clients" / "wrangler" / "README.md"]
ADDRESS = "http://localhost:8788"  # of the server, in every page
SOCKET = "/run/user/1000/llamalet.sock"


@dataclass(frozen=True)
class Snippet:
    """A block of a page: the words behind its fence, and its text."""

    page: str
    words: str
    text: str

    @property
    def first(self) -> str:
        return self.text.splitlines()[0]

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def __str__(self) -> str:
        return f"{self.page}: {self.words}: {self.first[:40]}"


def snippets() -> list[Snippet]:
    return [
        Snippet(page.relative_to(ROOT).as_posix(), words, text)
        for page in PAGES
        for words, text in re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    ]


def the(page: str, words: str, beginning: str = "") -> Snippet:
    """The one snippet of that page with these words that begins so."""
    (one,) = (one for one in snippets() if (one.page, one.words) == (page, words) and one.text.startswith(beginning))
    return one


@dataclass(frozen=True)
class Place:
    """A folder that is the home of programs. A tiny model lies in its hub's cache under the name of Llama 3.2 1B."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        scripts = str(Path(sys.executable).parent)
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("LLAMALET_", "HF_"))}
        ours |= {"HF_HUB_CACHE": str(self.folder / "hub"), "HOME": str(self.folder)}
        ours |= {"XDG_CONFIG_HOME": str(self.folder), "LLAMALET_THREADS": "1", "LLAMALET_PORT": "0"}
        ours |= {"NO_PROXY": "*", "PYTHONPATH": str(ROOT)}
        return ours | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
        return subprocess.run(command, cwd=self.folder, env=self.environment, check=False, timeout=300, **pipes)

    @contextlib.contextmanager
    def serving(self, command: str) -> Iterator[str]:
        """While this command runs, which starts a server: the address that it tells, or its socket file."""
        pipes: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True}
        words = command.split()
        with subprocess.Popen(words, cwd=self.folder, env=self.environment, **pipes) as process:
            try:
                assert process.stderr is not None
                said = process.stderr.readline()
                found = re.search(r"listening on (\S+)", said)
                assert found is not None, said
                yield found[1]
            finally:
                process.terminate()


def place(folder: Path) -> Place:
    random_model(folder / "tiny.gguf", context=4096)
    hub = Hub(folder / "hub", {"1b": folder / "tiny.gguf"})
    made = Place(folder)
    for file, sha256 in hub.hashes.items():  # for the processes to come, as the hub has done for this one
        code = "import sys, pathlib; from runtime.store import records; "
        code += f"records.remember(pathlib.Path({str(file)!r}), {sha256!r})"
        assert made.run([sys.executable, "-c", code]).returncode == 0
    return made
