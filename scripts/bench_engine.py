"""llamalet's engine beside plain llama.cpp, in one process, on a model of Llama 3.2 1B's shape with random weights.

Plain llama.cpp is its own decode loop, called as `llama-bench` does: the same file, threads and cache, no sampling. The
two take turns, and the medians and spreads are reported. Figures are of this machine; the ratios carry over.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import queue
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from runtime import machine
from runtime.engine import EngineConfig
from runtime.engine.llama import Context
from runtime.engine.local import LocalEngine
from runtime.values import Done, Failed, Progress, Request, Sampling, Segment, Text
from scripts import full_size_model

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "bench"
WORDS = "The quick brown fox jumps over the lazy dog and runs into the wood where the river bends. "


def main() -> None:
    """Parse the arguments, measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the random one")
    parser.add_argument("--threads", type=int, default=machine.threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt", type=int, default=512, help="prompt tokens, about")
    parser.add_argument("--tokens", type=int, default=64, help="answer tokens")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    report(measure(arguments), arguments)


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Every figure of every round."""
    model = arguments.model or random_model()
    started = time.perf_counter()
    engine = LocalEngine(EngineConfig(model, context=4096, slots=4, threads=arguments.threads))
    figures: dict[str, list[float]] = {"load_s": [time.perf_counter() - started]}
    plain = Plain(engine, arguments.threads)
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        for name, value in {**ours(engine, arguments), **plain.measure(arguments)}.items():
            figures.setdefault(name, []).append(value)
    for name, value in beside(engine, arguments).items():
        figures[name] = [value]
    figures["resident_mib"] = [machine.resident_bytes() / 2**20]
    plain.context.free()
    engine.close()
    return figures


def random_model() -> Path:
    path = FOLDER / "random-1b-q4_k_m.gguf"
    if not path.exists():
        print("building the random model, 0.8 GB, once", file=sys.stderr)
        FOLDER.mkdir(parents=True, exist_ok=True)
        full_size_model.build(path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
    return path


def _prompt(tokens: int) -> tuple[Segment, ...]:
    return (Segment("<|begin_of_text|>", special=True), Segment(WORDS * (tokens // 19 + 1)))


def _request(name: str, prompt: int, tokens: int) -> Request:
    # Random weights end no answer of themselves, or seldom; greedy, as plain decoding has no sampling either.
    return Request(name, _prompt(prompt), max_tokens=tokens, sampling=Sampling(temperature=0.0))


def ours(engine: LocalEngine, arguments: argparse.Namespace) -> dict[str, float]:
    """One stream through the engine: rates, time to the first token, and CPU time that is not llama.cpp's."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    outside_before, steps_before = _outside(engine)
    submitted = time.perf_counter()
    engine.submit(_request("one", arguments.prompt, arguments.tokens), events.put)
    first = None
    while not isinstance(event := events.get(), Done):
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Text) and first is None:
            first = time.perf_counter() - submitted
    outside, steps = _outside(engine)
    return {
        "prompt_tokens_per_s": event.usage.prompt_tokens / event.timings.prompt,
        "decode_tokens_per_s": (event.usage.completion_tokens - 1) / event.timings.decode,
        "first_token_s": first or 0.0,
        "cpu_outside_ms_per_token": 1e3 * (outside - outside_before) / (steps - steps_before),
    }


class Watched:
    """Counts the engine thread's CPU time outside of llama.cpp's decode."""

    def __init__(self, context: Context) -> None:
        self._decode, self.inside, self.total = context.decode, 0.0, 0.0
        self.seconds: list[float] = []

    def __call__(self) -> bool:
        started, wall = time.thread_time(), time.perf_counter()
        done = self._decode()
        self.total = time.thread_time()
        self.inside += self.total - started
        self.seconds.append(time.perf_counter() - wall)
        return done


def _outside(engine: LocalEngine) -> tuple[float, int]:
    context: Any = engine._context
    if not isinstance(context.decode, Watched):
        context.decode = Watched(context)
    watched = context.decode
    return watched.total - watched.inside, len(watched.seconds)


class Plain:
    """llama.cpp's decode in a bare loop, on a context of its own."""

    def __init__(self, engine: LocalEngine, threads: int) -> None:
        self.model = engine._model
        self.context = Context(self.model, n_ctx=4096, n_batch=512, n_seq_max=1, threads=threads)

    def measure(self, arguments: argparse.Namespace) -> dict[str, float]:
        """The same prompt and as many tokens, the likeliest one each."""
        tokens = [
            t
            for segment in _prompt(arguments.prompt)
            for t in self.model.tokenize(segment.text, special=segment.special)
        ]
        started = time.perf_counter()
        for at in range(0, len(tokens), self.context.batch.capacity):
            row = self._decode(tokens[at : at + self.context.batch.capacity], at)
        token = int(self.context.logits(row).argmax())
        read = time.perf_counter()
        for position in range(len(tokens), len(tokens) + arguments.tokens - 1):
            token = int(self.context.logits(self._decode([token], position)).argmax())
        done = time.perf_counter()
        self.context.forget(0)
        return {
            "plain_prompt_tokens_per_s": len(tokens) / (read - started),
            "plain_decode_tokens_per_s": (arguments.tokens - 1) / (done - read),
            "plain_first_token_s": read - started,
        }

    def _decode(self, tokens: list[int], position: int) -> int:
        self.context.batch.clear()
        (row,) = self.context.batch.add(0, tokens, position, outputs=1)
        self.context.decode()
        return row


def beside(engine: LocalEngine, arguments: argparse.Namespace) -> dict[str, float]:
    """The steps in which a long prompt is read beside a running answer."""
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine.submit(_request("stream", 32, 400), events.put)
    while not isinstance(events.get(), Text):
        pass
    watched: Any = engine._context.decode
    watched.seconds.clear()
    long: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine.submit(_request("long", 1500, 1), long.put)
    while isinstance(event := long.get(), Progress):
        pass
    seconds = sorted(watched.seconds[1:])  # the first was running without the long prompt
    engine.cancel("stream")
    while not isinstance(events.get(), Done):
        pass
    if isinstance(event, Failed):
        raise event.error
    late = sum(each > 0.2 for each in seconds)
    print(f"{len(seconds)} steps beside a running answer, {late} of them over 200 ms", file=sys.stderr)
    return {"step_beside_ms": 1e3 * statistics.median(seconds), "longest_step_beside_ms": 1e3 * seconds[-1]}


def report(figures: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    """A table on stdout, JSON where asked for."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, {arguments.threads} threads, {arguments.rounds} rounds\n"
    )
    print(f"{'figure':<28} {'median':>10} {'least':>10} {'most':>10}")
    for name, values in figures.items():
        print(f"{name:<28} {medians[name]:>10.3f} {min(values):>10.3f} {max(values):>10.3f}")
    token_ms = 1e3 / medians["decode_tokens_per_s"]
    print()
    for name in ("prompt_tokens_per_s", "decode_tokens_per_s", "first_token_s"):
        print(f"{name:<28} ours / plain = {medians[name] / medians['plain_' + name]:.3f}")
    print(f"{'CPU outside llama.cpp':<28} {medians['cpu_outside_ms_per_token'] / token_ms:.2%} of a token's time")
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
