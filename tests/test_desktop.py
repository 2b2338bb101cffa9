"""The desktop example does what it shows: driven by its own keys and buttons, with the real engine in its process."""

from __future__ import annotations

import importlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.hub import Fault
from tests.models import expected, key_token
from tests.screens import XVFB, screen
from tests.stores import loopback

tkinter = pytest.importorskip("tkinter", reason="needs Tk (on Debian: apt install python3-tk)")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.hub import LoopbackHub

pytestmark = pytest.mark.skipif(XVFB is None, reason="needs Xvfb (on Debian: apt install xvfb)")

PATIENCE = 60  # seconds until a test that waits gives up
FOLDER = Path(__file__).resolve().parents[1] / "examples" / "desktop"


class Desk:
    """The example as it runs. Keys go to the entry."""

    def __init__(self, display: str, model: str) -> None:
        example = importlib.import_module("app")
        self.root = tkinter.Tk(screenName=display)
        self.assistant = example.Assistant(model)
        self.window = example.Window(self.root, self.assistant)
        self.root.focus_force()

    def until(self, condition: Callable[[], Any]) -> None:
        """Let the window go on until it is so. It looks for news 25 times a second, so this always wakes up."""
        end = time.monotonic() + PATIENCE
        while not condition():
            self.root.tk.dooneevent()
            assert time.monotonic() < end, (self.status, self.text)

    def idle(self) -> str:
        """What is said once nothing is under way."""
        self.until(lambda: not self.window.busy)
        return self.status

    def key(self, name: str) -> None:
        self.window.entry.focus_force()
        self.root.update()
        self.window.entry.event_generate(f"<{name}>")

    def ask(self, text: str, key: str = "Control-Return") -> None:
        self.window.entry.delete("1.0", "end")
        self.window.entry.insert("1.0", text)
        self.key(key)
        assert self.window.busy

    @property
    def status(self) -> str:
        return str(self.window.status["text"])

    @property
    def text(self) -> str:
        return str(self.window.answer.get("1.0", "end-1c"))

    @property
    def is_open(self) -> bool:
        try:
            return bool(self.root.winfo_exists())
        except tkinter.TclError:  # of a window that is destroyed
            return False

    def close(self) -> None:
        if self.is_open:
            self.root.destroy()
        self.assistant.close()


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    with screen() as name:
        yield name


@pytest.fixture
def desks(display: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Desk]]:
    monkeypatch.setenv("LLAMALET_THREADS", "1")
    monkeypatch.syspath_prepend(FOLDER)
    made: list[Desk] = []

    def make(model: str) -> Desk:
        made.append(Desk(display, model))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def desk(desks: Callable[[str], Desk], canary: Path) -> Desk:
    """With its model loaded."""
    desk = desks(str(canary))
    assert desk.idle() == "Ready."
    return desk


def engines() -> list[psutil.Process]:
    """The processes of engines that this one has started."""
    return [one for one in psutil.Process().children() if "runtime.engine.child" in one.cmdline()]


def test_the_answer_is_shown_as_it_is_written_and_stops_at_a_key(desk: Desk) -> None:
    desk.ask(f"Say {key_token(7)}.")
    desk.until(lambda: desk.text)
    assert desk.window.busy
    desk.key("x")  # meanwhile one can go on writing
    assert desk.window.entry.get("1.0", "end-1c").endswith("x")
    desk.key("Escape")
    assert desk.idle().startswith("Stopped, after ")
    assert desk.text == expected(7, desk.text.count("k07"))


def test_a_json_answer_fills_the_form(desk: Desk) -> None:
    desk.ask(f"Lunch with {key_token(7)} on Friday", "Control-f")
    assert desk.idle().startswith("Done, after ")
    answer = json.loads(desk.text)
    assert {name: field.get() for name, field in desk.window.fields.items()} == {k: str(v) for k, v in answer.items()}
    assert list(answer) == ["title", "date", "guests", "kind"]


def test_an_engine_that_dies_is_a_message_and_the_next_question_is_answered(desk: Desk) -> None:
    desk.ask(f"Say {key_token(7)}.")
    desk.until(lambda: desk.text)
    (engine,) = engines()
    engine.kill()
    assert "engine's process" in desk.idle()
    desk.ask(f"Say {key_token(8)}.")
    desk.until(lambda: "k08i03" in desk.text)


def test_closing_the_window_in_the_middle_of_an_answer_ends_everything(desk: Desk) -> None:
    desk.ask(f"Say {key_token(7)}.")
    desk.until(lambda: desk.text)
    (engine,) = engines()
    desk.key("Control-q")
    assert not desk.is_open
    desk.assistant.close()
    engine.wait(PATIENCE)
    assert not engines()


def test_what_is_wrong_with_a_question_is_said(desk: Desk) -> None:
    desk.ask("word " * 5000)
    assert "4096" in desk.idle().replace(",", "")


def test_a_file_that_is_not_there_is_said_and_nothing_is_offered(desks: Callable[[str], Desk], tmp_path: Path) -> None:
    desk = desks(str(tmp_path / "none.gguf"))
    assert "there is no file" in desk.idle()
    assert not desk.window.download.winfo_manager()


@pytest.fixture
def served(canary: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A hub that has the canary, which the user's models file calls mine."""
    content = canary.read_bytes()
    with loopback(monkeypatch, {"canary-F32.gguf": content}) as hub:
        models = home / "mine.toml"
        models.write_text(
            f'[[model]]\nid = "mine"\nrepo = "me/models"\nfile = "canary-F32.gguf"\nsize = {len(content)}\n'
            f'sha256 = "{hub.sha256("canary-F32.gguf")}"\n'
        )
        monkeypatch.setenv("LLAMALET_MODELS", os.fspath(models))
        monkeypatch.delenv("HF_HUB_OFFLINE")
        yield hub


def test_a_model_is_fetched_when_the_user_says_so_and_goes_on_where_it_was_stopped(
    desks: Callable[[str], Desk], served: LoopbackHub
) -> None:
    desk = desks("mine")
    assert "not on this machine" in desk.idle()
    assert not served.requests
    served.faults = [Fault(rate=1e6)]
    desk.window.download.invoke()
    desk.until(lambda: desk.status.startswith("Downloading") and 0 < desk.window.progress["value"] < 1)
    desk.key("Escape")
    assert desk.idle() == "Stopped."
    desk.window.download.invoke()
    assert desk.idle() == "Ready."
    assert "Range" in served.bodies[-1].headers
    desk.ask(f"Say {key_token(7)}.")
    desk.until(lambda: "k07i03" in desk.text)
