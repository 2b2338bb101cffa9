"""What unloading a model gives back of the memory that loading it took, several times in a row.

Each round loads the model, has it answer once, and unloads it. In round 0 the code of llama.cpp and of ours that models
are run by comes into memory too: that stays, and is no part of a model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import Runtime, machine
from runtime.engine.llama import system_info
from scripts.bench_engine import random_model

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


def main() -> None:
    """Parse the arguments, measure, print a line a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; by default Llama 3.2 1B's shape, Q4_K_M, random weights")
    parser.add_argument("--times", type=int, default=10, help="rounds after the first")
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--json", action="store_true", help="a line of JSON each: bytes and seconds")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"{'round':>5} {'took, MiB':>10} {'gave back':>10} {'share':>7} {'load, s':>8} {'unload, s':>9}")
    for found in rounds(arguments.model or random_model(), arguments.times, arguments.context):
        if arguments.json:
            print(json.dumps(found), flush=True)
            continue
        took, gave = found["took"] / MIB, found["gave_back"] / MIB
        share, load, unload = gave / took, found["load_seconds"], found["unload_seconds"]
        print(f"{found['round']:>5} {took:>10.1f} {gave:>10.1f} {share:>7.1%} {load:>8.2f} {unload:>9.3f}", flush=True)


def rounds(path: Path, times: int, context: int) -> Iterator[dict[str, Any]]:
    """For each round the bytes and the seconds."""
    question = {"prompt": "Hi", "raw": True, "max_tokens": 4}
    with Runtime(files=[path], context=context, keep_alive=-1) as ai:
        system_info()
        ai.prepare(str(path), question)
        for number in range(times + 1):
            before, started = machine.resident_bytes(), time.perf_counter()
            ai.load(str(path))
            loading = time.perf_counter() - started
            ai.run(str(path), question)
            loaded, started = machine.resident_bytes(), time.perf_counter()
            ai.unload()
            unloading = time.perf_counter() - started
            sizes = {"took": loaded - before, "gave_back": loaded - machine.resident_bytes()}
            yield {"round": number, **sizes, "load_seconds": loading, "unload_seconds": unloading}


if __name__ == "__main__":
    main()
