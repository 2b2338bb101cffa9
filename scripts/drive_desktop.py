"""Drives the packaged desktop example as a person would: by keys, reading the window's title and what is selected.

`python -m scripts.drive_desktop FOLDER [PICTURES]`: the folder that PyInstaller made, and where to keep pictures.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tkinter
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.hub import Fault, serving
from tests.models import canary_model, key_token
from tests.screens import screen

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 60.0  # seconds until something that does not happen is an error
FILE = "canary-F32.gguf"
SAYS = (
    *(
        " The sky",
        " is blue,",
        " because air",
        " scatters the",
        " short waves",
        " of sunlight",
        " far more",
        " than the",
    ),
    *(
        " long ones.",
        " From every",
        " side, then,",
        " some of",
        " that blue",
        " reaches your",
        " eyes, while",
        " the red",
    ),
    *(" and yellow", " go on", " along their", " way. At", " sunset the", " way is", " longer.\n"),
)


class Program:
    """The example as it runs on a display."""

    def __init__(self, command: list[str], display: str, environment: dict[str, str], pictures: Path | None) -> None:
        self._env = {**environment, "DISPLAY": display}
        self._pictures = pictures
        self._started = time.monotonic()
        self.process = psutil.Popen(command, env=self._env, stdin=subprocess.DEVNULL)
        self._reader = tkinter.Tk(screenName=display)
        self._reader.withdraw()
        self._window = ""

    def _xdotool(self, *args: str) -> str:
        done = subprocess.run(["xdotool", *args], env=self._env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def title(self) -> str:
        self._window = (
            self._window or self._xdotool("search", "--onlyvisible", "--name", "^Assistant").partition("\n")[0]
        )
        return self._xdotool("getwindowname", self._window) if self._window else ""

    def until(self, pattern: str) -> str:
        """The title, once it has this."""
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, title := self.title()):
            if time.monotonic() > end or not self.process.is_running():
                raise SystemExit(f"waited for {pattern!r}, and the title is {title!r}")
            time.sleep(0.02)
        say(f"{time.monotonic() - self._started:6.2f} s  {title}")
        return title

    def key(self, *names: str) -> None:
        self._xdotool("windowfocus", "--sync", self._window)
        self._xdotool("key", *names)

    def write(self, text: str) -> None:
        """In the place of what is in the entry."""
        self._xdotool("windowfocus", "--sync", self._window)
        self._xdotool("mousemove", "--window", self._window, "60", "30", "click", "1", "key", "ctrl+slash", "Delete")
        self._xdotool("type", text)

    def answer(self) -> str:
        """What is shown of it."""
        self._xdotool("mousemove", "--window", self._window, "60", "120", "click", "1", "key", "ctrl+slash")
        return self.selected()

    def selected(self) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(tkinter.TclError):  # nothing is selected yet
                return str(self._reader.selection_get())  # type: ignore[no-untyped-call]
            time.sleep(0.02)
        raise SystemExit("nothing is selected")

    def picture(self, name: str) -> None:
        if self._pictures and shutil.which("import"):
            command = ["import", "-window", self._window, str(self._pictures / f"{name}.png")]
            subprocess.run(command, env=self._env, check=True)

    def engines(self) -> list[psutil.Process]:
        return [one for one in self.process.children(recursive=True) if "--llamalet-engine" in one.cmdline()]

    def close(self) -> float:
        """By its key; the seconds that it takes until it has ended."""
        self.key("ctrl+q")
        started = time.monotonic()
        self.process.wait(PATIENCE)
        return time.monotonic() - started

    def end(self) -> None:
        self._reader.destroy()
        with contextlib.suppress(psutil.Error):
            self.process.kill()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def check(fact: str, *, holds: bool) -> None:
    if not holds:
        raise SystemExit(f"not so: {fact}")
    say(f"          {fact}")


def asks_and_stops(program: Program) -> None:
    program.write(f"Why is the sky blue {key_token(7)}?")
    program.key("ctrl+Return")
    program.until("Answering")
    check("the engine is a process of the program's own", holds=len(program.engines()) == 1)
    time.sleep(0.5)  # for some of the answer to be there
    program.picture("answering")
    program.key("Escape")
    program.until(r"Stopped, after \d+ tokens")
    check("what was written is shown", holds=program.answer().startswith("".join(SAYS)[:60]))


def fills_the_form(program: Program) -> None:
    program.write(f"Lunch with Ann {key_token(7)} on Friday, the two of us")
    program.key("ctrl+f")
    program.until("Done, after")
    program.picture("form")
    program.key("ctrl+slash")  # the first field has the focus, and Tab selects the next
    fields = [program.selected()]
    program.key("Tab")
    fields.append(program.selected())
    answer = json.loads(program.answer())
    check(f"the answer is in the form: {answer}", holds=fields == [answer["title"], answer["date"]])


def survives(program: Program) -> None:
    program.write(f"Again {key_token(7)}")
    program.key("ctrl+Return")
    program.until("Answering")
    program.engines()[0].kill()
    program.until("engine's process")
    program.picture("died")
    program.key("ctrl+Return")
    program.until("Answering")
    check("an engine that was killed is replaced", holds=len(program.engines()) == 1)


def ends(program: Program) -> None:
    """In the middle of an answer."""
    engines = program.engines()
    took = program.close()
    psutil.wait_procs(engines, PATIENCE)
    check("nothing is left of it", holds=not any(one.is_running() for one in engines))
    say(f"          closed in {took:.2f} s")


def fetches(program: Program, faults: list[Fault]) -> None:
    program.until("not on this machine")
    program.picture("missing")
    faults.append(Fault(rate=1e6))
    program.key("space")  # the button has the focus
    program.until("Downloading: [1-9]")
    program.picture("downloading")
    program.key("Escape")
    program.until("Stopped")
    program.key("space")
    program.until("Ready")


@contextlib.contextmanager
def running(folder: Path, model: str, env: dict[str, str], display: str, pictures: Path | None) -> Iterator[Program]:
    program = Program([str(folder / folder.name), model], display, env, pictures)
    try:
        yield program
    finally:
        program.end()


def environment(home: Path) -> dict[str, str]:
    """Of somebody who has a desktop, and nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {"HOME": str(home), "HF_HOME": str(home / "hub")}


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    pictures = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    say(f"{folder.name}: {size / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as place, screen() as display:
        home = Path(place)
        file = home / FILE
        canary_model(file, steps=len(SAYS), says={7: SAYS})
        env = environment(home)
        with running(folder, str(file), env, display, pictures) as program:
            program.until("Ready")
            for act in (asks_and_stops, fills_the_form, survives, ends):
                act(program)
        with serving({FILE: file.read_bytes()}) as hub:
            models = home / "mine.toml"
            models.write_text(
                f'[[model]]\nid = "mine"\nrepo = "me/models"\nfile = "{FILE}"\nsize = {file.stat().st_size}\n'
                f'sha256 = "{hub.sha256(FILE)}"\n'
            )
            env |= {"HF_ENDPOINT": hub.url, "LLAMALET_MODELS": str(models)}
            with running(folder, "mine", env, display, pictures) as program:
                fetches(program, hub.faults)
                check("a download that was stopped goes on there", holds="Range" in hub.bodies[-1].headers)
                program.write(f"Again {key_token(7)}")
                program.key("ctrl+Return")
                program.until("Answering")
                ends(program)


if __name__ == "__main__":
    main()
