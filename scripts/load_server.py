"""Many clients of one server, whose every answer is known: none may be lost, cut or mixed up.

Each client asks one request after the other. Of ten, three leave, half of them while their prompt is read and half in
the middle of a stream; one asks for a stream and never reads it; one wants a document of a schema of its own; two want
an adapter; three are plain. With --kill, the process that the engine lives in is killed again and again: then the
requests that were in it may fail, within a second, and nobody else may.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scripts.load_figures import Figures, Outcome, report
from scripts.served import Served
from tests.canary import ADAPTERS, expected, family
from tests.gate import Client
from tests.models import KEYS, key_token

SLOTS, CLIENTS, CONTEXT = 16, 64, 16384
UNREAD_SECONDS = 40.0  # that a client which never reads stays; the server ends it after 30
UNREAD_TOKENS = 700
LOST = 300.0  # seconds without a byte, after which an answer is taken for lost: a stream has a sign of life each 10
KINDS = ("leaves its prompt", "leaves its stream", "never reads", "schema", "adapter", "plain")
WEIGHTS = (15, 15, 10, 10, 20, 30)


def main() -> None:
    """Parse the arguments, load a server, print a table and write JSON. Ends with 1 if anything was not as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill the engine's process so often")
    parser.add_argument("--isolation", choices=["none", "process"], default="process", help="where the engine lives")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = ["--models", str(family(Path(folder)).catalog), "--model", "canary", "--threads", "1"]
        options += ["--slots", str(arguments.slots), "--context", str(CONTEXT), "--keep-alive", "-1"]
        environment = {"LLAMALET_ISOLATION": arguments.isolation, "LLAMALET_QUEUE": str(2 * arguments.clients)}
        environment["LLAMALET_LOG"] = "warning"
        with Served(*options, environment=environment) as server:
            run = Run(server, arguments.minutes * 60, arguments.kill)
            run.all(arguments.clients, arguments.seed)
            figures = Figures(run.outcomes, run.kills, run.memory, run.seconds, server.load_seconds, run.stuck).all()
            said = server.said()
        figures["exit code of the server"] = server.code
    report(figures, arguments)
    if figures["faults"]:
        print(f"\nwhat the server said last:\n{said[-2000:]}", file=sys.stderr)
        sys.exit(1)


@dataclass
class Run:
    """The load of one run, and what came of it."""

    server: Served
    seconds: float
    kill: float | None
    outcomes: list[Outcome] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    _unread: list[tuple[float, Client, Outcome]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, clients: int, seed: int) -> None:
        """Until the time is over and everyone who was to be answered is."""
        self._touch(clients)
        self.begun = time.monotonic()
        end = self.begun + self.seconds
        threads = [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}.{n}"), end)) for n in range(clients)
        ]
        for thread in threads:
            thread.start()
        self._watch(end)
        for thread in threads:
            thread.join(2 * LOST)
        self.stuck = sum(thread.is_alive() for thread in threads)
        self._drop(float("inf"))

    def _touch(self, clients: int) -> None:
        """Use the whole context once. llama.cpp sets its memory aside in the beginning, and the system counts it as
        resident when it is first written to: the engine's process goes from 65 to 109 MiB by that, and no further."""
        prompt = "~" * (CONTEXT // SLOTS - 60)
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(self._fill, [prompt] * clients))

    def _fill(self, prompt: str) -> None:
        with Client(self.server.port) as client:
            client.socket.settimeout(LOST)
            client.send("canary", {"prompt": prompt, "max_tokens": 20})
            client.json()

    def _watch(self, end: float) -> None:
        """Note the memory each second, kill when it is time, and let go of those who have not read for long enough."""
        due = self.begun + (self.kill or float("inf"))
        while (now := time.monotonic()) < end:
            self.memory.append((now - self.begun, self.server.resident()))
            self._drop(now)
            if now >= due and now < end - 5:
                due += self.kill or 0.0
                if (engine := self.server.engine()) is not None:
                    self.kills.append(time.monotonic())
                    engine.kill()
            time.sleep(max(0.0, min(1.0, due - time.monotonic(), end - time.monotonic())))

    def _drop(self, now: float) -> None:
        with self._lock:
            late = [one for one in self._unread if one[0] <= now]
            self._unread = [one for one in self._unread if one[0] > now]
        for _, client, outcome in late:
            client.close()
            outcome.what, outcome.ended = "unread", time.monotonic()

    def _client(self, dice: random.Random, end: float) -> None:
        while time.monotonic() < end:
            (kind,) = dice.choices(KINDS, WEIGHTS)
            outcome = Outcome(kind, time.monotonic())
            with self._lock:
                self.outcomes.append(outcome)
            try:
                self._ask(dice, outcome)
            except (OSError, http.client.HTTPException, ValueError) as error:
                outcome.what, outcome.detail = "cut", repr(error)
            if not outcome.ended:
                outcome.ended = time.monotonic()
            if outcome.what == "refused":
                time.sleep(0.2)  # as Retry-After says, but sooner

    def _ask(self, dice: random.Random, outcome: Outcome) -> None:
        asked = Asked.drawn(dice, outcome.kind)
        client = Client(self.server.port)
        client.socket.settimeout(LOST)
        if outcome.kind == "never reads":
            outcome.what = "unread, still"
            client.send("canary", asked.body)
            with self._lock:
                self._unread.append((time.monotonic() + UNREAD_SECONDS, client, outcome))
            outcome.ended = time.monotonic()
            return
        with client:
            client.send("canary", asked.body)
            if asked.leaves_at == 0:
                time.sleep(dice.uniform(0, 0.3))
                client.leave(dice.choice(("close", "reset")))
                outcome.what = "left"
            else:
                asked.judge(client, outcome)


@dataclass(frozen=True)
class Asked:
    """A request of one kind, and how its answer is judged. leaves_at: after so many pieces of its text."""

    body: dict[str, Any]
    text: str
    leaves_at: int | None = None

    @classmethod
    def drawn(cls, dice: random.Random, kind: str) -> Asked:
        key, tokens = dice.randrange(KEYS), dice.randint(1, 100)
        lora = dice.choice(list(ADAPTERS)) if kind == "adapter" else None
        before = "~" * dice.randint(0, 200)
        body: dict[str, Any] = {"max_tokens": tokens, "temperature": 0, "stream": dice.random() < 0.5, "lora": lora}
        made = cls(body, expected(key, tokens, lora=lora))
        if kind == "leaves its prompt":
            before, made = "~" * dice.randint(1000, 4000), replace(made, leaves_at=0)
        elif kind == "leaves its stream":
            body["stream"] = True
            made = replace(made, leaves_at=dice.randint(1, tokens))
        elif kind == "never reads":
            body |= {"stream": True, "max_tokens": UNREAD_TOKENS}
        elif kind == "schema":
            word = f"{key:02d}-{dice.randrange(10**9)}"
            body |= {"response_format": {"type": "json_schema", "json_schema": {"const": {"word": word}}}}
            body |= {"max_tokens": 100, "stream": False}
            made = replace(made, text=json.dumps({"word": word}))
        body["prompt"] = f"{before}{key_token(key)}{'~' * dice.randint(0, 200)}"
        return made

    def judge(self, client: Client, outcome: Outcome) -> None:
        """Read the answer, and say how it ended."""
        if client.response.status != 200:
            told = client.json()
            outcome.what = "refused" if client.status in (429, 503) else "failed"
            outcome.detail = f"{client.status} {told['errors'][0]['message']}"
        elif self.body["stream"]:
            self._stream(client, outcome)
        else:
            found = client.json()["result"]["response"]
            text = found if isinstance(found, str) else json.dumps(found)
            outcome.what, outcome.detail = ("exact", "") if text == self.text else ("wrong", text)

    def _stream(self, client: Client, outcome: Outcome) -> None:
        text, pieces = "", 0
        for event in client.events():
            if event is None:
                outcome.what, outcome.detail = ("exact", "") if text == self.text else ("wrong", text)
                return
            if event.get("errors"):
                outcome.what, outcome.detail = "failed", f"in the stream: {event['errors'][0]['message']}"
                break
            text, pieces = text + event["response"], pieces + bool(event["response"])
            if text and outcome.first is None:
                outcome.first = time.monotonic() - outcome.begun
            if pieces == self.leaves_at:
                client.leave("close")
                outcome.what = "left"
                break
        else:
            outcome.what, outcome.detail = "cut", "the stream has no end"
        if not self.text.startswith(text):
            outcome.what, outcome.detail = "wrong", text


if __name__ == "__main__":
    main()
