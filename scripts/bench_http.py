"""What HTTP adds to one streamed token: the server against `Runtime.run(stream=True)` in the same process.

Two engines. The paced one gives every stream a token each few milliseconds, as a real model does, and each token says
when it was given: so its way to the reader is measured. The other runs a small model with random weights as fast as it
can: there the server takes its processor time from llama.cpp, which shows in the time a token takes. Over HTTP the
reader is a bare socket in a process of its own; in process it is a loop in a thread. The two ways take turns.
"""

from __future__ import annotations

import argparse
import bisect
import functools
import json
import multiprocessing
import os
import platform
import re
import selectors
import socket
import statistics
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from runtime import Runtime, machine
from runtime.values import Done, Text, Timings, Usage
from tests.models import random_model
from tests.rawgguf import model_bytes
from tests.servers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.engine import Emit
    from runtime.values import Request
    from tests.servers import Running

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "bench"
STREAMS = (1, 4)
PROMPT = "The quick brown fox jumps over the lazy dog and runs into the wood where the river bends."

Tokens = list[tuple[int, str]]  # when each came, in nanoseconds of `time.perf_counter_ns`, and its text


def main() -> None:
    """Parse the arguments, measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=200, help="of each answer")
    parser.add_argument(
        "--pace", type=float, default=5.0, help="milliseconds from one token of the paced engine to the next"
    )
    parser.add_argument("--threads", type=int, default=machine.threads(), help="of llama.cpp")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures: dict[str, list[float]] = {}
    benches = [paced(arguments), *(small_model(threads) for threads in sorted({1, arguments.threads}))]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as reader:
        for bench in benches:
            bench.measure(arguments, reader, figures)
    report(figures, arguments)


class PacedEngine:
    """Gives all streams a token each so many seconds, one after the other; its text is when it was given."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Emit, int]] = {}  # and how many tokens it has had
        self._wanted: dict[str, int] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, request: Request, emit: Emit) -> None:
        with self._lock:
            self._running[request.id], self._wanted[request.id] = (emit, 0), request.max_tokens

    def cancel(self, request_id: str) -> None:
        with self._lock:
            self._running.pop(request_id, None)

    def close(self) -> None:
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            with self._lock:
                running = list(self._running.items())
            for name, (emit, had) in running:
                emit(Text(f" {time.perf_counter_ns()}"))
                self._running[name] = (emit, had + 1)
                if had + 1 == self._wanted[name]:
                    self.cancel(name)
                    emit(Done("length", Usage(1, had + 1), Timings(0.0, 0.0, 0.0)))


@dataclass(frozen=True)
class Bench:
    """A model's file with the engine for it, and what its figures are called."""

    name: str
    model: Path
    options: dict[str, Any]
    figures_of: Callable[[Streamed], dict[str, float]]

    def measure(
        self, arguments: argparse.Namespace, reader: ProcessPoolExecutor, figures: dict[str, list[float]]
    ) -> None:
        """Add every figure of every round."""
        with serving(files=[self.model], slots=max(STREAMS), **self.options) as server:
            model, inputs = self.model.name, {"prompt": PROMPT, "max_tokens": arguments.tokens, "temperature": 0}
            ways: dict[str, Callable[[int], Streamed]] = {
                "in process": functools.partial(in_process, server, model, inputs),
                "HTTP": lambda streams: reader.submit(over_http, server.port, model, inputs, streams).result(),
            }
            for read in ways.values():
                read(1)  # load, import, warm up
            for number in range(arguments.rounds):
                print(f"{self.name}: round {number + 1} of {arguments.rounds}", file=sys.stderr)
                for streams in STREAMS:
                    for way, read in ways.items():
                        before = time.process_time()
                        streamed = read(streams)._replace(cpu=time.process_time() - before)
                        for figure, value in self.figures_of(streamed).items():
                            figures.setdefault(f"{self.name}, {streams}: {figure}, {way}", []).append(value)


def paced(arguments: argparse.Namespace) -> Bench:
    """Tokens that come one by one."""
    path = FOLDER / "paced.gguf"
    path.write_bytes(model_bytes())

    def figures_of(streamed: Streamed) -> dict[str, float]:
        late = sorted((came - int(text)) / 1e6 for tokens in streamed.tokens for came, text in tokens)
        figures = {
            "to the reader, ms": statistics.median(late),
            "the same, 95 of 100": late[len(late) * 95 // 100],
            "CPU, ms a token": 1e3 * streamed.cpu / len(late),
            "CPU of the reader, ms a token": 1e3 * streamed.reader_cpu / len(late),
        }
        return {name: value for name, value in figures.items() if value}

    make_engine = functools.partial(_paced_engine, arguments.pace / 1e3)
    return Bench(f"a token each {arguments.pace:g} ms", path, {"make_engine": make_engine}, figures_of)


def _paced_engine(seconds: float, *_: Any) -> PacedEngine:
    return PacedEngine(seconds)


def small_model(threads: int) -> Bench:
    """llama.cpp with a model that takes some milliseconds for a token."""
    path = FOLDER / "random-small.gguf"
    if not path.exists():
        part = path.with_suffix(".part")
        random_model(part, layers=8, embedding=512, heads=8, kv_heads=4, ff=2048, dtype=np.float16)
        part.rename(path)

    def figures_of(streamed: Streamed) -> dict[str, float]:
        # From the first token to the last: with several streams, the time of one step. No CPU time: llama.cpp's
        # threads count as busy while they wait for each other.
        spans = [(tokens[-1][0] - tokens[0][0]) / 1e6 / (len(tokens) - 1) for tokens in streamed.tokens]
        return {"ms a token": statistics.median(spans)}

    return Bench(
        f"a small model, {threads} thread{'s' * (threads > 1)}", path, {"threads": threads, "context": 2048}, figures_of
    )


# -- readers ---------------------------------------------------------------------------------------------------------


class Streamed(NamedTuple):
    """What came in each stream, and the processor time of this process, and of a reader in another, in seconds."""

    tokens: list[Tokens]
    cpu: float = 0.0
    reader_cpu: float = 0.0


def in_process(server: Running, model: str, inputs: dict[str, Any], streams: int) -> Streamed:
    """As an application reads that has the runtime in it."""
    runtime = server.ai._runtime
    with ThreadPoolExecutor(streams) as threads:
        return Streamed(list(threads.map(lambda _: _read(runtime, model, inputs), range(streams))))


def _read(runtime: Runtime, model: str, inputs: dict[str, Any]) -> Tokens:
    events = runtime.run(model, inputs, stream=True)
    return [(time.perf_counter_ns(), event["response"]) for event in events][:-1]  # the last has the usage


def over_http(port: int, model: str, inputs: dict[str, Any], streams: int) -> Streamed:
    """In another process: all streams at once, and nothing done with what comes until all have ended."""
    body = json.dumps({**inputs, "stream": True}).encode()
    head = f"POST /ai/run/{model} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    came: dict[socket.socket, list[tuple[int, bytes]]] = {}
    before = time.process_time()
    with selectors.DefaultSelector() as selector:
        for _ in range(streams):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(head + body)
            selector.register(connection, selectors.EVENT_READ)
            came[connection] = []
        while selector.get_map():
            for key, _ in selector.select():
                connection = cast("socket.socket", key.fileobj)
                data = connection.recv(65536)
                came[connection].append((time.perf_counter_ns(), data))
                if not data or data.endswith(b"0\r\n\r\n"):
                    selector.unregister(connection)
                    connection.close()
    cpu = time.process_time() - before
    return Streamed([_tokens(parts) for parts in came.values()], reader_cpu=cpu)


def _tokens(parts: list[tuple[int, bytes]]) -> Tokens:
    """The tokens in what a socket gave, each with the time at which the last of its bytes came."""
    ends = [0]
    for _, data in parts:
        ends.append(ends[-1] + len(data))
    found = re.finditer(rb"data: (\{.*\})\n\n", b"".join(data for _, data in parts))
    events = [(parts[bisect.bisect_left(ends, one.end()) - 1][0], json.loads(one[1])) for one in found]
    return [(when, event["response"]) for when, event in events if "usage" not in event]


def report(figures: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    """A table on stdout, JSON where asked for."""
    print(f"{platform.machine()}, {os.cpu_count()} processors, {arguments.rounds} rounds\n")
    print(f"{'engine, streams: figure':<56} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in figures.items():
        _show(name, values)
        inside = figures.get(name.replace(", HTTP", ", in process"), [])
        if name.endswith(", HTTP") and inside:
            _show("    added by HTTP", [one - other for one, other in zip(values, inside, strict=True)])
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def _show(name: str, values: list[float]) -> None:
    print(f"{name:<56} {statistics.median(values):>8.3f} {min(values):>8.3f} {max(values):>8.3f}")


if __name__ == "__main__":
    main()
