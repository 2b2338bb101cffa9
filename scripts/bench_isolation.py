"""What an engine in a process of its own costs a token, beside the same engine in this process, which take turns.

The model is tiny, and each of its tokens is held up by a sleep, so that what is measured is neither llama.cpp nor noise
of llama.cpp: the CPU time of both processes for a token, the time from a request to its only token, and the speed
without the sleep. Then what counting costs: batches of a model with many nodes, whose abort callback counts, or not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from runtime.engine import EngineConfig
from runtime.engine.faults import VARIABLE, installed
from runtime.engine.llama import Context, Model, pulse
from runtime.engine.local import LocalEngine
from runtime.engine.remote import RemoteEngine
from runtime.values import Done, Failed, Request, Sampling, Segment
from tests.models import canary_model, random_model

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPT = (Segment("<|begin_of_text|>", special=True), Segment("<K07>"))
LAYERS, DECODES = 64, 400


def main() -> None:
    """Parse the arguments, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200, help="of each paced answer")
    parser.add_argument("--pace", type=float, default=25.0, help="milliseconds that a token is held up")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        canary_model(Path(folder, "canary.gguf"))
        random_model(Path(folder, "deep.gguf"), layers=LAYERS, embedding=32, heads=2, kv_heads=1, ff=64)
        figures = paced(Path(folder, "canary.gguf"), arguments)
        figures |= free(Path(folder, "canary.gguf"), arguments)
        figures |= counting(Path(folder, "deep.gguf"), arguments)
    for name, values in figures.items():
        print(f"{name:<46} {statistics.median(values):>10.4f} {min(values):>10.4f} {max(values):>10.4f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


@contextlib.contextmanager
def homes(model: Path, plan: str) -> Iterator[dict[str, Any]]:
    """An engine in each, with the same faults."""
    with contextlib.ExitStack() as stack:
        if plan:
            stack.enter_context(installed(plan))
            os.environ[VARIABLE] = plan
        config = EngineConfig(model, context=8192, slots=1)
        made: dict[str, Any] = {"here": LocalEngine(config), "there": RemoteEngine(config)}
        os.environ.pop(VARIABLE, None)
        yield made
        for engine in made.values():
            engine.close()


def paced(model: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """CPU time a token, at a pace."""
    figures: dict[str, list[float]] = {}
    with homes(model, f"delay={arguments.pace / 1000}@token:*") as engines:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for home, engine in engines.items():
                before = cpu()
                ask(engine, arguments.tokens)
                figures.setdefault(f"CPU ms a token, {home}", []).append(1e3 * (cpu() - before) / arguments.tokens)
    return figures | added(figures, "CPU ms a token")


def free(model: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """The way of a request and of a token, and how many tokens go it in a second."""
    figures: dict[str, list[float]] = {}
    with homes(model, "") as engines:
        for _ in range(arguments.rounds):
            for home, engine in engines.items():
                seconds = statistics.median(ask(engine, 1) for _ in range(50))
                figures.setdefault(f"ms from a request to its only token, {home}", []).append(1e3 * seconds)
                figures.setdefault(f"tokens/s, {home}", []).append(4000 / ask(engine, 4000))
    return figures | added(figures, "ms from a request to its only token")


def counting(model: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Batches of one token, with either abort callback, in turns."""
    loaded = Model(model)
    contexts = {}
    for name, counts in (("strlen", False), ("sem_post", True)):
        pulse.COUNTS_NODES = counts
        contexts[name] = Context(loaded, n_ctx=1024, n_batch=32, n_seq_max=1, threads=1)
    seconds: dict[str, list[float]] = {name: [] for name in contexts}
    for position in range(DECODES):
        for name, context in contexts.items():
            pulse.COUNTS_NODES = name == "sem_post"
            context.batch.clear()
            context.batch.add(0, [1], position, outputs=1)
            started = time.thread_time()  # of one thread, and not what others take from it
            context.decode()
            seconds[name].append(1e3 * (time.thread_time() - started))
    nodes = contexts["sem_post"].pulse.nodes / DECODES
    found = {f"CPU ms a batch of {nodes:.0f} nodes, {name}": values for name, values in seconds.items()}
    ratio = statistics.median(seconds["sem_post"]) / statistics.median(seconds["strlen"])
    return found | {"ratio of their medians": [ratio]}


def added(figures: dict[str, list[float]], what: str) -> dict[str, list[float]]:
    pairs = zip(figures[f"{what}, there"], figures[f"{what}, here"], strict=True)
    return {f"{what}, added": [there - here for there, here in pairs]}


def ask(engine: Any, tokens: int) -> float:
    """Seconds until all of an answer is here."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    started = time.perf_counter()
    engine.submit(Request("one", PROMPT, max_tokens=tokens, sampling=Sampling(temperature=0.0)), events.put)
    while not isinstance(event := events.get(), Done):
        if isinstance(event, Failed):
            raise event.error
    return time.perf_counter() - started


def cpu() -> float:
    """Seconds of this process and of those that it has started."""
    me = psutil.Process()
    return sum(sum(one.cpu_times()[:2]) for one in (me, *me.children()))


if __name__ == "__main__":
    main()
