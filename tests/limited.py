"""Calls in a child process with little memory: what ends or hangs it is a failure with a name, not the end of pytest.

    with Limited("tests.corpus:run") as child:
        child.ask("left recursion")     # what `run("left recursion")` gives in the child, by way of JSON

A child that died is made anew by the next call. A call that takes longer than `HUNG` seconds is ended with its stack;
what CPU time a call took is what the child says of it (`spent`), since on a busy machine seconds say little.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = 3 << 30  # bytes of address space, where the system limits it
HUNG = 120  # seconds; ten times what the slowest takes on a machine that others use too
SHOWN = 2000  # characters of what a child said before it died


class Died(Exception):
    """The child is gone. The message has the question, how it ended, and what it said last."""


class Limited:
    """A child that answers questions one by one with a function of a module."""

    def __init__(self, function: str) -> None:
        """function: "module:function", which takes what JSON can hold and gives it."""
        self._function, self.deaths = function, 0
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - for its life

    def ask(self, question: Any) -> Any:
        """Raises `Died`, after which the next question goes to another child."""
        process = self._process = self._process or self._start()
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{json.dumps(question)}\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if line:
            return json.loads(line)
        self.deaths += 1
        code = self._stop()
        self._stderr.seek(0)
        raise Died(f"{str(question)[:SHOWN]}: the child ended with {code}.\n{self._stderr.read()[-SHOWN:]}")

    def _start(self) -> subprocess.Popen[str]:
        self._stderr.seek(0)
        self._stderr.truncate()
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.limited", self._function],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
        )

    def _stop(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with process, contextlib.suppress(BrokenPipeError):
            assert process.stdin
            process.stdin.close()  # the end of the questions
        return process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._stderr.close()


@contextlib.contextmanager
def spent() -> Iterator[list[float]]:
    """CPU seconds, of all threads of this process, that the block took: one number, once it is over."""
    took: list[float] = []
    began = time.process_time()
    yield took
    took.append(time.process_time() - began)


def _limit() -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _answer_all(function: str) -> None:
    """Answer the questions of the parent, a line each, until there are no more."""
    _limit()
    faulthandler.enable()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anybody prints is no answer
    module, _, name = function.partition(":")
    answer = getattr(importlib.import_module(module), name)
    for question in sys.stdin:
        faulthandler.dump_traceback_later(HUNG, exit=True)
        found = answer(json.loads(question))
        faulthandler.cancel_dump_traceback_later()
        answers.write(f"{json.dumps(found)}\n")
        answers.flush()
    os._exit(0)  # whatever the function has started and left running


if __name__ == "__main__":
    _answer_all(sys.argv[1])
