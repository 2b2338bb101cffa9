"""JSON documents held to real schemas: milliseconds per character, on a model of Llama 3.2 1B's shape, random weights.

Four ways take turns on each schema: with look-ahead; without it, every token sampled; free decoding of as many tokens;
and, with --peer-url, a running llama-server on the same file, with the same grammar and filters. Times are from handing
in the request to the last token, with a short prompt, which the peer may keep. Random weights want nothing in
particular, so what is sampled under a grammar is mostly refused first, and spelled in odd tokens: a trained model would
agree with the grammar more often, and gain less.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import platform
import queue
import statistics
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime import machine
from runtime.engine import EngineConfig
from runtime.engine.constraint import NOTHING
from runtime.engine.local import LocalEngine
from runtime.grammar import compile_schema
from runtime.values import Done, Failed, Request, Sampling, Segment, Text
from scripts.bench_engine import random_model

if TYPE_CHECKING:
    from runtime.engine.sequence import Sequence

# Named before anything was measured: of the 148 schemas of the set whose smallest document has 40 to 400 characters,
# every seventh or eighth in the order of their names.
SCHEMAS = (
    "BFCL_java_22",
    "BFCL_multiple_89",
    "BFCL_parallel_59",
    "BFCL_parallel_multiple_173",
    "BFCL_simple_229",
    "BFCL_sql_73",
    "Github_easy---o4354",
    "Github_easy---o68329",
    "Github_easy---o8435",
    "Github_hard---o5391",
    "Github_medium---o23174",
    "Github_medium---o42601",
    "Github_medium---o7383",
    "Github_ultra---o65431",
    "Glaiveai2K---calculate_area_47d9e5f7",
    "Glaiveai2K---calculate_area_e1e66cf1",
    "Glaiveai2K---create_calendar_event_c2876547",
    "Glaiveai2K---generate_invoice_b81e92ab",
    "Glaiveai2K---search_recipes_46bda2a3",
    "Kubernetes---kb_368_Normalized",
)
LONGEST = 24  # characters of a string that the schema does not bound
PROMPT = "Write a document."
PROMPT_SEGMENTS = (Segment("<|begin_of_text|>", special=True), Segment(PROMPT))
SAMPLING = {"temperature": 0.6, "top_p": 0.9}


class Run(NamedTuple):
    """One document."""

    seconds: float
    text: str
    tokens: int
    forced: int = 0


def main() -> None:
    """Parse the arguments, measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schemas", type=Path, help="a folder with NAME.json files, each with a `schema`")
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the random one")
    parser.add_argument("--threads", type=int, default=machine.threads())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=300, help="at most, of a document")
    parser.add_argument("--peer-url", help="a llama-server with the same model and threads")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    model = arguments.model or random_model()
    report(measure(model, arguments), arguments)
    for held in (0, 6):
        gaps = sorted(together(model, held, arguments))
        middle, most = statistics.median(gaps), gaps[-1]
        late = sum(gap > 0.2 for gap in gaps)
        print(f"12 at once, {held} held to schemas: a free stream waits {1e3 * middle:.0f} ms for its next token,")
        print(f"at most {1e3 * most:.0f} ms; {late} of {len(gaps)} times over 200 ms")


def measure(model: Path, arguments: argparse.Namespace) -> dict[str, dict[str, list[Run]]]:
    """By schema and way, the run of each round."""
    engine = Switching(EngineConfig(model, context=4096, slots=4, threads=arguments.threads))
    found: dict[str, dict[str, list[Run]]] = {}
    for number in range(arguments.rounds + 1):  # the first is not counted: grammars are compiled and pieces read
        for name in SCHEMAS:
            print(f"round {number} of {arguments.rounds}: {name}", file=sys.stderr)
            runs = one_schema(engine, grammar_of(name, arguments), number + 1, arguments)
            for way, run in runs.items() if number else ():
                found.setdefault(name, {}).setdefault(way, []).append(run)
    engine.close()
    return found


def grammar_of(name: str, arguments: argparse.Namespace) -> str:
    schema = json.loads((arguments.schemas / f"{name}.json").read_text("utf-8"))["schema"]
    return compile_schema(bounded(schema), closed=True)


def together(model: Path, held: int, arguments: argparse.Namespace) -> list[float]:
    """Seconds that six free streams wait for each next token, beside as many more, so many of them held to schemas."""
    engine = LocalEngine(EngineConfig(model, context=8192, slots=12, threads=arguments.threads))
    _ = engine._pieces
    arrivals: list[list[float]] = [[] for _ in range(6)]
    ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def emit(event: Any, times: list[float] | None = None) -> None:
        if isinstance(event, Text) and times is not None:
            times.append(time.perf_counter())
        if isinstance(event, Done | Failed):
            ended.put(event)

    for number in range(12):
        times = arrivals[number] if number < 6 else None
        grammar = grammar_of(SCHEMAS[3 * (number - 6)], arguments) if number >= 12 - held else None
        sampling = Sampling(temperature=SAMPLING["temperature"], top_p=SAMPLING["top_p"], seed=number + 1)
        request = Request(str(number), PROMPT_SEGMENTS, max_tokens=100, sampling=sampling, grammar=grammar)
        engine.submit(request, functools.partial(emit, times=times))
    for _ in range(12):
        event = ended.get()
        if isinstance(event, Failed):
            raise event.error
    engine.close()
    return [after - before for times in arrivals for before, after in itertools.pairwise(times)]


def bounded(schema: Any) -> Any:
    """The schema with a bound on every string that has none of its own."""
    if isinstance(schema, list):
        return [bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: bounded(value) for key, value in schema.items()}
    if schema.get("type") == "string" and not schema.keys() & {"enum", "const", "format", "pattern"}:
        schema["maxLength"] = max(min(schema.get("maxLength", LONGEST), LONGEST), schema.get("minLength", 0))
    return schema


class Switching(LocalEngine):
    """Looks ahead, or does not."""

    looks_ahead = True

    def _start(self, sequence: Sequence, now: float) -> None:
        super()._start(sequence, now)
        if sequence.constraint and not self.looks_ahead:
            sequence.constraint.ahead = lambda left: NOTHING  # type: ignore[method-assign]


def one_schema(engine: Switching, grammar: str, seed: int, arguments: argparse.Namespace) -> dict[str, Run]:
    runs = {}
    for way in ("ahead", "plain"):
        engine.looks_ahead = way == "ahead"
        runs[way] = ours(engine, grammar, seed, arguments.tokens)
        json.loads(runs[way].text)
    runs["free"] = ours(engine, None, seed, runs["ahead"].tokens)
    if arguments.peer_url:
        runs["peer"] = peer(arguments.peer_url, grammar, seed, arguments.tokens)
    return runs


def ours(engine: LocalEngine, grammar: str | None, seed: int, tokens: int) -> Run:
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    # Without a grammar nothing shall end the answer before it has as many tokens.
    ends = () if grammar else tuple((int(token), -100.0) for token in engine._pieces.ends)
    sampling = Sampling(temperature=SAMPLING["temperature"], top_p=SAMPLING["top_p"], seed=seed, logit_bias=ends)
    started = time.perf_counter()
    engine.submit(Request("one", PROMPT_SEGMENTS, max_tokens=tokens, sampling=sampling, grammar=grammar), events.put)
    text = ""
    while not isinstance(event := events.get(), Done):
        if isinstance(event, Failed):
            raise event.error
        text += event.text if isinstance(event, Text) else ""
    seconds = time.perf_counter() - started
    return Run(seconds, text, event.usage.completion_tokens, event.usage.forced_tokens)


def peer(url: str, grammar: str, seed: int, tokens: int) -> Run:
    """llama-server's own completion, which takes GBNF."""
    body = {"prompt": PROMPT, "n_predict": tokens, "grammar": grammar, "seed": seed, "cache_prompt": True, **SAMPLING}
    body |= {"samplers": ["top_p", "temperature"]}
    request = urllib.request.Request(
        f"{url}/completion", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    started = time.perf_counter()
    with urllib.request.urlopen(request) as reply:
        answer = json.load(reply)
    return Run(time.perf_counter() - started, answer["content"], answer["tokens_predicted"])


def report(found: dict[str, dict[str, list[Run]]], arguments: argparse.Namespace) -> None:
    """A table on stdout, JSON where asked for. Free decoding is set against the characters of the document."""
    ways = list(next(iter(found.values())))
    print(f"{platform.machine()}, {os.cpu_count()} processors, {arguments.threads} threads, {arguments.rounds} rounds")
    print("\nmilliseconds per character, medians; characters, tokens and forced tokens with look-ahead, medians\n")
    print(f"{'schema':<48}" + "".join(f"{way:>8}" for way in ways) + f"{'chars':>8}{'tokens':>8}{'forced':>8}")
    table = {name: {way: cost(runs, way) for way in ways} for name, runs in found.items()}
    for name, costs in table.items():
        ahead = found[name]["ahead"]
        middle = [statistics.median(len(run.text) for run in ahead)]
        middle += [statistics.median(getattr(run, what) for run in ahead) for what in ("tokens", "forced")]
        print(f"{name:<48}" + "".join(f"{costs[way]:>8.2f}" for way in ways) + "".join(f"{n:>8.0f}" for n in middle))
    tokens, forced = (sum(getattr(run, w) for runs in found.values() for run in runs["ahead"]) for w in Run._fields[2:])
    print(f"\n{forced / tokens:.1%} of the tokens were forced")
    for way in ways[1:]:
        ratios = [costs["ahead"] / costs[way] for costs in table.values()]
        whole = sum(costs["ahead"] for costs in table.values()) / sum(costs[way] for costs in table.values())
        print(
            f"ahead / {way:<6} median {statistics.median(ratios):.3f}, of the sums {whole:.3f}, most {max(ratios):.3f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def cost(runs: dict[str, list[Run]], way: str) -> float:
    """Milliseconds per character of document: all time by all characters, since documents differ in length."""
    texts = runs["ahead" if way == "free" else way]
    return 1e3 * sum(run.seconds for run in runs[way]) / sum(len(run.text) for run in texts)


if __name__ == "__main__":
    main()
