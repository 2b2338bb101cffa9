"""Carries out the steps of the Dockerfile in folders, where no container engine runs, and starts what comes of them.

    python -m scripts.dockerfile_steps BASE WORK [--bind PATH]... [--env NAME=VALUE]...

BASE is the folder of a system that stands in for the image: one of debootstrap's, with `python3 -m venv /usr/local` run
in it. Each stage becomes a copy of it in WORK. Paths to bind are those of this machine that `pip` needs there,
variables are added to every step. Needs root and Linux; mounts are gone when it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 60.0  # seconds until the server is healthy
TOKEN = "a-token-of-the-steps-00"


@dataclass(frozen=True)
class Step:
    """An instruction and what stands behind it, on one line."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of a command in the form of a JSON list, or of anything that is no command."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """A root folder, and how commands run in it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"

    def command(self, words: list[str]) -> list[str]:
        path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        given = [f"{name}={value}" for name, value in (path | self.arguments | self.environment).items()]
        inside = ["env", "-i", *given, "sh", "-c", f'cd {self.folder} && exec "$@"', "sh", *words]
        return ["chroot", f"--userspec={self.user}:{self.user}", str(self.root), *inside]


def steps(text: str) -> list[Step]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--bind", type=Path, action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    asked = parser.parse_args()
    if "INSIDE" not in os.environ:  # a mount namespace of our own
        os.environ["INSIDE"] = "1"
        words = [sys.executable, "-m", "scripts.dockerfile_steps", *sys.argv[1:]]
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", *words])
    stages: dict[str, Stage] = {}
    last: dict[str, Step] = {}
    stage = None
    for step in steps((ROOT / "Dockerfile").read_text("utf-8")):
        print(f"{step.name} {step.text}", flush=True)
        if step.name == "FROM":
            name = step.words[2] if "AS" in step.words else "image"
            stage = stages[name] = _made(asked, name)
        else:
            assert stage is not None
            _carry_out(step, stage, stages)
            last[step.name] = step
    assert stage is not None
    _try(stage, last)


def _made(asked: argparse.Namespace, name: str) -> Stage:
    root = asked.work / name
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", str(asked.base), str(root)], check=True)
    for path in (Path("/proc"), Path("/dev"), *asked.bind):
        inside = root / path.relative_to("/")
        if path.is_dir():
            inside.mkdir(parents=True, exist_ok=True)
        else:
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.touch()
        subprocess.run(["mount", "--bind", str(path), str(inside)], check=True)
    return Stage(root, arguments=dict(pair.split("=", 1) for pair in asked.env))


def _carry_out(step: Step, stage: Stage, stages: dict[str, Stage]) -> None:
    match step.name:
        case "RUN":
            _run(step.text, stage, stages)
        case "ARG":
            name, _, value = step.text.partition("=")
            stage.arguments.setdefault(name, value)
        case "ENV":
            stage.environment |= dict(pair.split("=", 1) for pair in step.words)
        case "WORKDIR":
            stage.folder = step.text
            (stage.root / step.text.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(step.words, stage)
        case "USER":
            stage.user = step.text
        case "VOLUME" | "EXPOSE" | "HEALTHCHECK" | "STOPSIGNAL" | "ENTRYPOINT" | "CMD":
            pass
        case _:
            sys.exit(f"{step.name}: not known here")


def _run(text: str, stage: Stage, stages: dict[str, Stage]) -> None:
    mount = re.match(r"--mount=type=bind,from=(\w+),source=(\S+),target=(\S+)\s+", text)
    if mount:
        target = stage.root / mount[3].lstrip("/")
        target.mkdir()
        subprocess.run(["mount", "--bind", f"{stages[mount[1]].root}{mount[2]}", str(target)], check=True)
        text = text[mount.end() :]
    subprocess.run(stage.command(["sh", "-c", text]), check=True)
    if mount:
        subprocess.run(["umount", str(target)], check=True)
        target.rmdir()


def _copy(words: list[str], stage: Stage) -> None:
    *sources, place = words
    target = stage.root / stage.folder.lstrip("/") / place
    for source in sources:
        path = ROOT / source
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, target)


def _try(stage: Stage, last: dict[str, Step]) -> None:
    """Start the command of the image, wait until it is healthy, ask it, and end it."""
    stage.environment["LLAMALET_TOKEN"] = TOKEN
    command = stage.command(last["ENTRYPOINT"].words + last["CMD"].words)
    health = stage.command(Step("CMD", last["HEALTHCHECK"].text.partition("CMD ")[2]).words)
    print("$", shlex.join(command[-2:]), flush=True)
    with subprocess.Popen(command) as process:
        started = time.monotonic()
        while subprocess.run(health, capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() - started > PATIENCE:
                sys.exit("it is not healthy")
            time.sleep(0.2)
        print(f"healthy after {time.monotonic() - started:.1f} s", flush=True)
        doctor = stage.command([*last["ENTRYPOINT"].words, "doctor", "--offline"])
        subprocess.run(doctor, check=True)
        process.terminate()
        started = time.monotonic()
        print(f"ended with {process.wait(PATIENCE)} after {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main()
