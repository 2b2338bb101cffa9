"""The memory that `runtime.fit` says a model takes, beside what the system says it has taken.

Models of random weights in the shapes of Llama 3.2 1B and 3B, each case in a process of its own: resident memory before
the model is loaded is taken off, and the cache is full when it is read. To fill it in seconds, the first 256 tokens are
read by the model, and copied until the last 256, which it reads again with all of the cache in sight.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import catalog, fit, gguf, machine
from scripts import full_size_model
from scripts.bench_engine import FOLDER

if TYPE_CHECKING:
    from runtime.catalog import ModelSpec

MIB = 1 << 20


def main() -> None:
    """Parse the arguments, measure each case, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["1b", "3b"], choices=list(full_size_model.SHAPES))
    parser.add_argument("--quants", nargs="+", default=["Q4_K_M", "Q8_0"], choices=list(full_size_model.FILE_TYPES))
    parser.add_argument("--contexts", nargs="+", type=int, default=[2048, 8192])
    parser.add_argument("--slots", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--kv", nargs="+", default=["f16", "q8_0"], choices=["f16", "q8_0"])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the models are kept, 0.8 to 3.4 GB each")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        path, context, slots, kv_type = arguments.case
        print(json.dumps(measure(Path(path), int(context), int(slots), kv_type)))
        return
    print(
        f"{'model':<12} {'tokens':>6} {'slots':>5} {'cache':<5} {'estimate':>8} {'measured':>8} {'off by':>7} {'s':>6}"
    )
    for shape, quant in itertools.product(arguments.shapes, arguments.quants):
        path = _model(arguments.folder, shape, quant)
        for case in itertools.product(arguments.contexts, arguments.slots, arguments.kv):
            compare(path, f"{shape} {quant}", *case)


def compare(path: Path, name: str, context: int, slots: int, kv_type: str) -> None:
    """Print a line of the table, in MiB; the last column is the seconds that the last 256 tokens took."""
    header = gguf.check(path)
    model = fit.of_file(_spec(path), name, header, gguf.shape(header))
    need = fit.need(model, context, slots=slots, kv_type=kv_type, copies_output=machine.copies_output())
    case = ["--case", str(path), str(context), str(slots), kv_type]
    command = [sys.executable, "-m", "scripts.measure_memory", *case]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    estimate, measured = need.total / MIB, found["resident"] / MIB
    print(
        f"{name:<12} {context:>6} {slots:>5} {kv_type:<5} {estimate:>8.0f} {measured:>8.0f}"
        f" {estimate / measured - 1:>+7.1%} {found['seconds']:>6.1f}",
        flush=True,
    )


def measure(path: Path, context: int, slots: int, kv_type: str) -> dict[str, Any]:
    """Load the model, fill its cache, and say how many bytes more are resident than before."""
    from runtime.engine.llama import Context, Model

    before = machine.resident_bytes()
    model = Model(path)
    # One slot is measured with two, half a MiB of logits more: the second is what copies are made through.
    sizes: dict[str, Any] = {
        "n_ctx": context,
        "n_batch": fit.BATCH,
        "n_seq_max": max(2, slots),
        "threads": machine.threads(),
    }
    made = Context(model, **sizes, kv_type=kv_type)
    _read(made, 0)
    _fill(made, context - 2 * fit.BATCH)
    seconds = _read(made, made.length(0))
    return {"resident": machine.resident_bytes() - before, "seconds": seconds}


def _read(made: Any, position: int) -> float:
    made.batch.clear()
    made.batch.add(0, list(range(1000, 1000 + fit.BATCH)), position, outputs=1)
    started = time.perf_counter()
    made.decode()
    return time.perf_counter() - started


def _fill(made: Any, cells: int) -> None:
    """Copy the first sequence's cells, as a state that is restored, until so many are taken."""
    from runtime.engine.llama.binding import c

    size = c.llama_state_seq_get_size(made._context, 0)
    state = (ctypes.c_uint8 * size)()
    c.llama_state_seq_get_data(made._context, state, size, 0)
    for _ in range(cells // fit.BATCH):
        if not c.llama_state_seq_set_data(made._context, state, size, 1):
            raise SystemExit("llama.cpp did not restore the state")
        c.llama_memory_seq_cp(made._memory, 1, 0, -1, -1)
        c.llama_memory_seq_rm(made._memory, 1, -1, -1)


def _spec(path: Path) -> ModelSpec:
    return catalog.Catalog(()).with_files([path]).models[0]


def _model(folder: Path, shape: str, quant: str) -> Path:
    path = folder / f"random-{shape}-{quant.lower()}.gguf"
    if not path.exists():
        print(f"building {path.name}", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        full_size_model.build(path.with_suffix(".part"), shape, quant)
        path.with_suffix(".part").rename(path)
    return path


if __name__ == "__main__":
    main()
