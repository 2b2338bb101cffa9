"""Whether what is in the checkout can be released; the files to release are in dist/ then.

    scripts/release [--python PATH]...

The tree is clean, the changelog has the version, and wheel and source distribution install into empty environments of
each Python named (default: this one), where a model of random weights answers from the shell, from Python and over
HTTP. llama-cpp-python is built once, or taken from the index that LLAMALET_WHEEL_INDEX names.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runtime
from tests.models import random_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
HEADING = re.compile(r"## (\d+)\.(\d+)\.(\d+), \d{4}-\d{2}-\d{2}")
BINDING = "llama-cpp-python"
HOUR = 3600  # seconds; building the binding takes minutes, on a small board many
# What the new environment's Python runs: each prints one line of JSON.
ASKED_IN_PYTHON = """
import json, runtime
with runtime.Runtime() as ai:
    schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
    asked = {"type": "json_schema", "json_schema": schema}
    answer = ai.run("tiny", prompt="Count.", response_format=asked, max_tokens=60)["response"]
print(json.dumps({"version": runtime.__version__, "file": runtime.__file__, "list": isinstance(answer, list)}))
"""
ASKED_OVER_HTTP = """
import json, re, subprocess, sys, urllib.request
command = [sys.argv[1], "serve", "--port", "0"]
with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
    try:
        url = re.search("http://[^ ]+", server.stderr.readline())[0]
        body = json.dumps({"prompt": "Hello", "max_tokens": 4}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        answer = json.load(opener.open(url + "/ai/run/tiny", body, timeout=120))
    finally:
        server.terminate()
print(json.dumps({"success": answer["success"], "tokens": answer["result"]["usage"]["completion_tokens"]}))
"""


class Failed(Exception):
    """A command has failed, or said what it should not."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", metavar="PATH", help="a Python to install with")
    pythons = parser.parse_args().python or [sys.executable]
    version = runtime.__version__
    problems = [*_tree(), *changelog((ROOT / "CHANGELOG.md").read_text("utf-8"), version)]
    with tempfile.TemporaryDirectory(prefix="llamalet-release-") as folder:
        try:
            files = _built(version)
            wheels = _binding(Path(folder))
            for python in pythons:
                for file in files:
                    _tried(Path(folder), python, file, wheels, version)
        except Failed as why:
            problems.append(str(why))
    for problem in problems:
        print(f"not to be released: {problem}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"{version} can be released: the files are in dist/.")


def _tree() -> Iterator[str]:
    changed = _run(["git", "-C", ROOT, "status", "--porcelain"]).splitlines()
    if changed:
        yield f"the tree is not clean: {', '.join(line[3:] for line in changed[:5])}"


def changelog(text: str, version: str | None = None) -> Iterator[str]:
    """What is wrong with its shape, and, where a version is given, whether that is its newest section."""
    headings = re.findall(r"^## .*$", text, re.MULTILINE)
    if headings[:1] != ["## Unreleased"]:
        yield "CHANGELOG.md: the first section is not '## Unreleased'"
    found = [HEADING.fullmatch(heading) for heading in headings[1:]]
    if None in found:
        yield "CHANGELOG.md: a section is called as in '## 1.2.3, 2026-01-31'"
    versions = [tuple(map(int, one.groups())) for one in found if one]
    if versions != sorted(set(versions), reverse=True):
        yield "CHANGELOG.md: the newest version comes first, and each is there once"
    for kind in re.findall(r"^### (.*)$", text, re.MULTILINE):
        if kind not in KINDS:
            yield f"CHANGELOG.md: '{kind}' is none of {', '.join(KINDS)}"
    if version is None:
        return
    if not versions or ".".join(map(str, versions[0])) != version:
        yield f"CHANGELOG.md: its newest section is not that of {version}"
    if text.partition("## Unreleased")[2].partition("\n## ")[0].strip():
        yield f"CHANGELOG.md: what stands under Unreleased belongs to {version}"


def _built(version: str) -> list[Path]:
    """The source distribution, and the wheel that is made of it."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run([sys.executable, "-m", "build", "--outdir", DIST, ROOT])
    wanted = [DIST / f"llamalet-{version}-py3-none-any.whl", DIST / f"llamalet-{version}.tar.gz"]
    if sorted(DIST.iterdir()) != sorted(wanted):
        raise Failed(f"dist/ has {', '.join(path.name for path in DIST.iterdir())}")
    return wanted


def _binding(folder: Path) -> Path:
    """A folder with a wheel of the binding, which is one for all Pythons."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (wanted,) = (one for one in project["dependencies"] if one.startswith(BINDING))
    index = os.environ.get("LLAMALET_WHEEL_INDEX")
    options = ["--only-binary", BINDING, "--extra-index-url", index] if index else []
    _run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "wheels", wanted, *options])
    return folder / "wheels"


def _tried(folder: Path, python: str, file: Path, wheels: Path, version: str) -> None:
    """Install the file into an empty environment, and have a model answer there in each way."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    _run([python, "-m", "venv", place / "venv"])
    scripts = place / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    _run([scripts / "python", "-m", "pip", "install", "--only-binary", BINDING, "--find-links", wheels, file])
    random_model(place / "tiny.gguf", context=2048)
    (place / "models.toml").write_text(f'[[model]]\nid = "tiny"\npath = {json.dumps(str(place / "tiny.gguf"))}\n')
    said = json.loads(_run([scripts / "python", "-c", ASKED_IN_PYTHON], place))
    if (said["version"], said["list"], str(place) in said["file"]) != (version, True, True):
        raise Failed(f"{file.name} in {python}: {said}")
    served = json.loads(_run([scripts / "python", "-c", ASKED_OVER_HTTP, scripts / "llamalet"], place))
    if served != {"success": True, "tokens": 4}:
        raise Failed(f"{file.name} in {python}: {served}")
    _run([scripts / "llamalet", "run", "tiny", "Hello", "--max-tokens", "4"], place)
    problem = json.loads(_run([scripts / "llamalet", "doctor", "--offline", "--json"], place))["llama_cpp"]["problem"]
    if problem:
        raise Failed(f"{file.name} in {python}: {problem}")
    print(f"{file.name}: installs and answers in {_run([scripts / 'python', '--version']).strip()}", flush=True)


def _run(command: Sequence[str | Path], place: Path | None = None) -> str:
    """What it prints. In `place` it is at home, and finds nothing of ours."""
    ours = ("PYTHON", "LLAMALET_", "HF_", "XDG_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    if place is not None:
        environment |= {"HOME": str(place), "LLAMALET_MODELS": str(place / "models.toml"), "HF_HUB_OFFLINE": "1"}
        environment |= {"LLAMALET_THREADS": "1"}  # tiny models are slower with more
    options: dict[str, Any] = {"capture_output": True, "encoding": "utf-8", "timeout": HOUR}
    words = [str(word) for word in command]
    done: subprocess.CompletedProcess[str] = subprocess.run(words, cwd=place, env=environment, check=False, **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
