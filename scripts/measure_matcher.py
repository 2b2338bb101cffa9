"""What following a grammar costs: `python -m scripts.measure_matcher DIRECTORY`, of schemas with `tests`.

The texts are each schema's valid instances and three drawn from its grammar. Each character is accepted by itself.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_grammar
from runtime.grammar.matcher import Matcher
from tests.drawing import Drawer

if TYPE_CHECKING:
    from collections.abc import Callable

Times = dict[str, list[float]]


def main(directory: Path) -> None:
    for closed in (False, True):
        times: Times = defaultdict(list)
        for path in sorted(directory.glob("*.json")):
            measure(json.loads(path.read_text("utf-8")), times, closed=closed)
        print("closed" if closed else "open", "| count | median | p95 | p99 | mean, µs")
        for name, found in times.items():
            found.sort()
            points = [f"{found[int(share * (len(found) - 1))] * 1e6:,.2f}" for share in (0.5, 0.95, 0.99)]
            print(" |", name, len(found), *points, f"{sum(found) / len(found) * 1e6:,.2f}", sep=" | ")


def measure(case: Any, times: Times, *, closed: bool) -> None:
    try:
        grammar = compile_grammar(case["schema"], closed=closed)
    except UnsupportedSchema:
        return
    drawer = Drawer(grammar, Random(3))
    texts = [json.dumps(test["data"], ensure_ascii=False) for test in case["tests"] if test["valid"]]
    texts += [drawer.draw() for _ in range(3)]
    first = timed(times["made for a grammar"], lambda: Matcher(grammar))
    for name in ("a character, first time", "a character, again"):
        for text in texts:
            follow(first, text, times[name])
    for text in texts:
        look_ahead(first, text, times)


def follow(matcher: Matcher | None, text: str, times: list[float]) -> None:
    for char in text:
        if matcher:
            matcher = timed(times, partial(matcher.accept, char))


def look_ahead(matcher: Matcher | None, text: str, times: Times) -> None:
    """At every fourth character, where a token may end."""
    for at in range(0, len(text), 4):
        if matcher:
            timed(times["forced"], matcher.forced)
            timed(times["shortest_end"], matcher.shortest_end)
            matcher = matcher.accept(text[at : at + 4])


def timed(times: list[float], call: Callable[[], Any]) -> Any:
    began = perf_counter()
    found = call()
    times.append(perf_counter() - began)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
