"""Faults for tests: llama.cpp's functions are wrapped, so that a call kills the process, hangs, or gives nonsense.

A plan is what `LLAMALET_TEST_FAULT` holds, for an engine in a child process, or what a test gives to `installed`:

    kill@step:5        at the fifth decode
    abort@load         at the first load
    rc=-3@step:2       the second decode gives -3
    nan@token:*        each decode of answers alone gives logits that are no numbers
    delay=0.05@step:*  each decode takes so many seconds longer

Several are joined by commas. Actions: kill, segv, abort, stop (as by SIGSTOP), exit=CODE, hang, delay=SECONDS,
rc=CODE, nan. Points: see `POINTS`. Nothing imports this module where no fault is asked for.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import signal
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from runtime.engine.llama.binding import c

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARIABLE = "LLAMALET_TEST_FAULT"
_FAULT = re.compile(r"(\w+)(?:=(-?[\d.]+))?@(\w+)(?::(\d+|\*))?")

# What a point is: the function that is called there, and of its calls which count.
POINTS: dict[str, tuple[str, Callable[..., bool]]] = {
    "load": ("llama_model_load_from_file", lambda *_: True),
    "context": ("llama_init_from_model", lambda *_: True),
    "tokenize": ("llama_tokenize", lambda *_: True),
    "step": ("llama_decode", lambda *_: True),
    "prompt": ("llama_decode", lambda _, batch: _rows(batch) < batch.n_tokens),
    "token": ("llama_decode", lambda _, batch: _rows(batch) == batch.n_tokens),
    "grammar": ("llama_sampler_init_grammar", lambda *_: True),
    "sample": ("llama_sampler_accept", lambda *_: True),
}


@dataclass(slots=True)
class Fault:
    """What happens at a point: `number` is at which of its calls, 0 for each."""

    action: str
    value: float
    point: str
    number: int
    calls: Any = field(default_factory=lambda: itertools.count(1))

    def is_due(self, *arguments: Any) -> bool:
        """Whether it happens at this call."""
        if not POINTS[self.point][1](*arguments):
            return False
        call = next(self.calls)
        return self.number in (0, call)


def parse(plan: str) -> list[Fault]:
    """Raises `ValueError` for what is no plan."""
    faults = []
    for text in plan.split(","):
        found = _FAULT.fullmatch(text.strip())
        if not found or found[1] not in (*_ENDINGS, *_TURNS) or found[3] not in POINTS:
            raise ValueError(f"{text!r} is no fault: {__doc__}")
        number = 0 if found[4] == "*" else int(found[4] or 1)
        faults.append(Fault(found[1], float(found[2] or 0), found[3], number))
    return faults


@contextlib.contextmanager
def installed(plan: str) -> Iterator[None]:
    """Have the faults happen, in this process."""
    by_function = defaultdict(list)
    for fault in parse(plan):
        by_function[POINTS[fault.point][0]].append(fault)
    originals = {name: getattr(c, name) for name in by_function}
    try:
        for name, faults in by_function.items():
            setattr(c, name, partial(_call, originals[name], faults))
        yield
    finally:
        for name, original in originals.items():
            setattr(c, name, original)


def _call(original: Callable[..., Any], faults: list[Fault], *arguments: Any) -> Any:
    turned = original
    for fault in [fault for fault in faults if fault.is_due(*arguments)]:
        if fault.action in _ENDINGS:
            _ENDINGS[fault.action](fault.value)
        else:
            turned = partial(_TURNS[fault.action], turned, fault.value)
    return turned(*arguments)


def _rows(batch: Any) -> int:
    return sum(bool(batch.logits[row]) for row in range(batch.n_tokens))


# -- what happens in place of the call -----------------------------------------------------------------------------


def _by_signal(name: str) -> Callable[[float], None]:
    def end(_: float) -> None:
        signal.raise_signal(getattr(signal, name, signal.SIGTERM))  # in this thread; Windows knows but SIGTERM

    return end


def _assert(_: float) -> None:
    """As llama.cpp ends: a line to stderr, then abort()."""
    os.write(2, b"/llama.cpp/ggml.c:1: GGML_ASSERT(false) failed\n")
    os.abort()


def _hang(_: float) -> None:
    threading.Event().wait()


def _delay(seconds: float) -> None:
    time.sleep(seconds)


def _exit(code: float) -> None:
    os._exit(int(code))


_ENDINGS: dict[str, Callable[[float], None]] = {
    "kill": _by_signal("SIGKILL"),
    "segv": _by_signal("SIGSEGV"),
    "abort": _assert,
    "stop": _by_signal("SIGSTOP"),
    "exit": _exit,
    "hang": _hang,
    "delay": _delay,
}


# -- what the call gives -------------------------------------------------------------------------------------------


def _code(_: Callable[..., Any], code: float, *__: Any) -> int:
    return int(code)


def _not_numbers(call: Callable[..., Any], _: float, context: Any, batch: Any) -> Any:
    """Decode, and make all logits NaN."""
    code = call(context, batch)
    width = c.llama_vocab_n_tokens(c.llama_model_get_vocab(c.llama_get_model(context)))
    for row in range(batch.n_tokens):
        if code == 0 and batch.logits[row]:
            logits = c.llama_get_logits_ith(context, row)
            for token in range(width):
                logits[token] = math.nan
    return code


_TURNS: dict[str, Callable[..., Any]] = {"rc": _code, "nan": _not_numbers}
