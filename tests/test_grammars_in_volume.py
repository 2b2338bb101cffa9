"""Random grammars: what our check lets through neither ends nor hangs llama.cpp, which is tried in a child.

FUZZ_EXAMPLES is how many to try.
"""

from __future__ import annotations

from collections import Counter

from tests.counts import seeds, tell
from tests.limited import Limited

SECONDS = 2.0  # of CPU time, for any one call


def test_what_the_check_lets_through_neither_ends_nor_hangs_llama_cpp() -> None:
    found: Counter[str] = Counter()
    slowest: Counter[str] = Counter()
    with Limited("tests.grammar_walks:walk") as child:
        for seed in seeds(2000):
            walked = child.ask(seed)
            found["passed" if walked.pop("passed") else "refused"] += 1
            for what, seconds in walked.items():
                assert seconds <= SECONDS, f"seed {seed}: {what} took {seconds:.1f} s"
                slowest[what] = max(slowest[what], seconds)
    tell(**found, slowest=dict(slowest))
    assert min(found.values()) >= 0.2 * found.total()
