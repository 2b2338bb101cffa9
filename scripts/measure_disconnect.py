"""How soon a slot is free when its client has left, on a model of Llama 3.2 1B's shape with random weights; and how
long the server takes to end and to start again.

The clock runs from the moment at which the client closes, resets or half-closes its connection to the run's last event,
which the engine gives when slot and KV cells are free. Clients leave while their answer is written, or at any moment
while their prompt is read; alone, or beside another's answer, which no batch is ended for.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import random
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import machine
from runtime.engine.local import LocalEngine
from runtime.values import Done, Failed
from scripts.bench_engine import random_model
from tests.gate import Client
from tests.servers import Running, serving
from tests.test_server_process import Process

if TYPE_CHECKING:
    from runtime.engine import Emit, Engine, EngineConfig
    from runtime.values import Event, Request

WAYS = ("close", "reset", "half-close")
VICTIM, OTHER = 7, 8  # keys, by which their requests are told apart
LONG_PROMPT = 3000  # tokens, about
SLOTS, CONTEXT = 4, 16384


def main() -> None:
    """Parse the arguments, measure, print tables and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="GGUF file; by default the random one")
    parser.add_argument("--tries", type=int, default=50, help="of each kind")
    parser.add_argument("--ends", type=int, default=5, help="of the server, of each kind")
    parser.add_argument("--threads", type=int, default=machine.threads(), help="of llama.cpp")
    parser.add_argument("--home", choices=("none", "process"), default="none", help="where the engine lives")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    model = arguments.model or random_model()
    figures: dict[str, list[float]] = {}
    if arguments.tries:
        make = functools.partial(Watched, arguments.home)
        options: dict[str, Any] = {"threads": arguments.threads, "slots": SLOTS, "context": CONTEXT, "keep_alive": -1}
        with serving(files=[model], make_engine=make, **options) as server:
            leave(server, model.name, arguments.tries, figures)
    figures |= ends(model, arguments)
    report(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


class Watched:
    """An engine that knows when the last event of a request came."""

    ended: dict[str, float] = {}  # noqa: RUF012 - of all engines: there is one
    begun: dict[str, str] = {}  # noqa: RUF012 - ids by the text that tells a request

    def __init__(self, home: str, config: EngineConfig, progress: Any = None) -> None:
        self._engine: Engine
        if home == "process":
            remote = importlib.import_module("runtime.engine.remote")
            self._engine = remote.RemoteEngine(config, progress=progress)
        else:
            self._engine = LocalEngine(config, progress=progress)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def submit(self, request: Request, emit: Emit) -> None:
        def seen(event: Event) -> None:
            if isinstance(event, Done | Failed):
                self.ended[request.id] = time.perf_counter()
            emit(event)

        text = "".join(segment.text for segment in request.prompt)
        self.begun[f"K{VICTIM:02}" if f"K{VICTIM:02}" in text else f"K{OTHER:02}"] = request.id
        self._engine.submit(request, seen)


# -- clients that leave ----------------------------------------------------------------------------------------------


def leave(server: Running, model: str, tries: int, figures: dict[str, list[float]]) -> None:
    """Add the milliseconds of each try."""
    dice = random.Random(0)
    server.ai._runtime.run(model, prompt="Hi", max_tokens=2)  # loads, warms up
    for beside in (False, True):
        for phase in ("answer", "prompt"):
            name = f"slot free, {phase}{', beside another answer' if beside else ''}, ms"
            figures[name] = []
            for number in range(tries):
                sys.stderr.write(f"\r{name}: {number + 1} of {tries} ")
                with Client(server.port) as other:
                    if beside:
                        read_one(other.ask(model, OTHER, 2000, stream=True))
                    figures[name].append(1e3 * once(server.port, model, phase, WAYS[number % 3], dice))
                    other.leave("close")
            sys.stderr.write("\n")


def once(port: int, model: str, phase: str, way: str, dice: random.Random) -> float:
    """Seconds from leaving to the run's end."""
    Watched.begun.clear()
    with Client(port) as client:
        if phase == "prompt":
            client.ask(model, VICTIM, 200, stream=True, before="fox " * LONG_PROMPT + str(dice.random()))
            while f"K{VICTIM:02}" not in Watched.begun:
                time.sleep(0.001)
            time.sleep(dice.uniform(0.05, 1.0))  # somewhere in the prompt, which takes many seconds
        else:
            client.ask(model, VICTIM, 2000, stream=True)
            for _ in range(dice.randint(1, 10)):
                read_one(client)
        name = Watched.begun[f"K{VICTIM:02}"]
        assert name not in Watched.ended
        start = time.perf_counter()
        client.leave(way)
        while name not in Watched.ended:
            time.sleep(0.001)
    return Watched.ended[name] - start


def read_one(client: Client) -> None:
    """An event that has text."""
    while not next(client.events())["response"]:
        pass


# -- ends and starts -------------------------------------------------------------------------------------------------


def ends(model: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds from the start to the loaded model; from SIGTERM to the exit: idle, with streams that end by themselves
    (beside how long they take undisturbed), and by a second signal."""
    found: dict[str, list[float]] = {}
    where = ["--isolation", arguments.home] if arguments.home != "none" else []
    given = ["--model", str(model), "--threads", str(arguments.threads), "--slots", str(SLOTS), *where]
    for number in range(arguments.ends):
        for kind in ("idle", "4 streams of 20 tokens", "4 streams and a second signal"):
            sys.stderr.write(f"\rends, {kind}: {number + 1} of {arguments.ends} ")
            start = time.perf_counter()
            server = Process(*given, patience=600).has_loaded()
            found.setdefault("start, until the model is loaded, s", []).append(time.perf_counter() - start)
            found.setdefault(f"end, {kind}, s", []).append(end(server, kind))
            server.close()
    sys.stderr.write("\n")
    return found


def end(server: Process, kind: str) -> float:
    """Seconds from the last signal to the exit."""
    tokens = 2000 if "second" in kind else 20
    clients = []
    for _ in range(SLOTS if "streams" in kind else 0):
        clients.append(Client(server.port).ask(server.model, VICTIM, tokens, stream=True))
        read_one(clients[-1])
    start = server.signal(signal.SIGTERM)
    if "second" in kind:
        time.sleep(0.2)
        start = server.signal(signal.SIGTERM)
    code, said = server.end()
    assert code == 0, said
    took = time.monotonic() - start
    for client in clients:
        client.close()
    return took


def report(figures: dict[str, list[float]]) -> None:
    """A table on stdout."""
    print(f"{'':<48} {'tries':>6} {'p50':>9} {'p99':>9} {'most':>9}")
    for name, values in figures.items():
        p99 = sorted(values)[min(len(values) - 1, round(0.99 * (len(values) - 1)))]
        print(f"{name:<48} {len(values):>6} {statistics.median(values):>9.2f} {p99:>9.2f} {max(values):>9.2f}")


if __name__ == "__main__":
    main()
