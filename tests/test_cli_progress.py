"""How progress is shown."""

from __future__ import annotations

import json

import pytest

from runtime.cli.progress import Shown, line
from runtime.store import Progress

HALF = Progress("@cf/meta/llama-3.2-1b-instruct:Q4_K_M", "downloading", 400_000_000, 800_000_000, 12_300_000, 33.0)


def test_a_line_has_what_is_known() -> None:
    assert line(HALF, 0) == "llama-3.2-1b-instruct:Q4_K_M  50%  400.0 MB of 800.0 MB  12.3 MB/s  33 s left"


def test_a_bar_takes_the_room_that_is_left() -> None:
    shown = line(HALF, 100)
    assert "[##########----------]" in shown or shown.count("#") == shown.count("-") - 3
    assert len(shown) <= 100


@pytest.mark.parametrize("columns", [20, 60, 79, 200])
def test_a_line_fits_the_terminal(columns: int) -> None:
    assert len(line(HALF, columns)) <= columns


@pytest.mark.parametrize(("seconds", "words"), [(59, "59 s left"), (150, "2 min left"), (5400, "1.5 h left")])
def test_what_remains_is_said_in_its_own_unit(seconds: float, words: str) -> None:
    assert line(Progress("m", "downloading", 1, 2, 1.0, seconds), 0).endswith(words)


@pytest.mark.parametrize(
    ("phase", "words"),
    [("waiting", "another process fetches it"), ("checking", "checking"), ("retrying", "waiting for the server")],
)
def test_every_other_phase_is_said(phase: str, words: str) -> None:
    assert line(Progress("m", phase, 1, 2), 0).endswith(words)  # type: ignore[arg-type]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_every_five_seconds_and_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    shown = Shown(clock=clock)
    for done in range(121):
        clock.now = done / 10
        shown(Progress("m", "downloading", done, 120))
    lines = capsys.readouterr().err.splitlines()
    assert [one.split()[2] for one in lines] == ["0%", "42%", "83%", "100%"]


def test_what_is_checked_within_seconds_needs_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(clock=Clock())
    shown(Progress("m", "checking", 0, 120))
    shown(Progress("m", "checking", 120, 120))
    assert capsys.readouterr().err == ""


def test_json_is_a_line_for_each_event_and_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(as_json=True, clock=Clock())
    shown(HALF)
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out) == {
        "event": "progress",
        "file": HALF.file,
        "phase": "downloading",
        "done": 400_000_000,
        "total": 800_000_000,
        "rate": 12_300_000,
        "remaining": 33.0,
    }
