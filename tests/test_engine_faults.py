"""The faults that other tests ask for do happen, and where they were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime.engine.faults import installed, parse
from runtime.errors import EngineError
from tests.engines import ask, engine, submit
from tests.models import expected

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("plan", ["kill", "kill@nowhere", "burn@step", "kill@step:x", ""])
def test_what_is_no_fault_is_refused(plan: str) -> None:
    with pytest.raises(ValueError, match="is no fault"):
        parse(plan)


@pytest.mark.parametrize("code", [-1, -3])
def test_a_decode_that_gives_a_code_ends_the_engine(canary: Path, code: int) -> None:
    with installed(f"rc={code}@step:2"):
        running = engine(canary)
        failure = submit(running, ask()).failure()
        running.close()
    assert isinstance(failure, EngineError)
    assert f"llama_decode returned {code}" in str(failure)


def test_a_delay_changes_nothing_but_time(canary: Path) -> None:
    with installed("delay=0.001@step:*,delay=0.01@token:2"):
        running = engine(canary)
        assert submit(running, ask()).whole() == expected(7, 8)
        running.close()


def test_they_are_gone_afterwards(canary: Path) -> None:
    with installed("rc=-3@step:1"):
        pass
    running = engine(canary)
    assert submit(running, ask()).whole() == expected(7, 8)
    running.close()
