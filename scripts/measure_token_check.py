"""Whether the time that the check of a token takes tells how much of it is right.

Tokens that differ from the right one in their first byte, in their last, and in their length take turns, in an order of
dice. By default it asks `Tokens.owner`, where a difference would show first; with `--http` a server. Told are medians,
and for each two the share of tries in which the one took longer (Mann-Whitney's U over all pairs), which is one half
where nothing can be told, with z: beyond 3 it is hardly chance.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.server.tokens import Token, Tokens
from tests.gate import Client
from tests.servers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 20  # checks timed together without HTTP: one takes less than the clock tells


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=10_000, help="of each kind")
    parser.add_argument("--http", action="store_true", help="ask a server on loopback")
    arguments = parser.parse_args()
    right = secrets.token_urlsafe()
    kinds = {
        "first byte": ("-" if right[0] != "-" else "_") + right[1:],
        "last byte": right[:-1] + ("-" if right[-1] != "-" else "_"),
        "a byte less": right[:-1],
    }
    if not arguments.http:
        report(measure(direct(right), kinds, arguments.tries))
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        scripted(Path(folder) / "models", token=right) as server,
        Client(server.running.port) as client,
    ):
        report(measure(over_http(client), kinds, arguments.tries))


def direct(right: str) -> Callable[[str], float]:
    """Seconds that a check of this token takes."""
    tokens = Tokens((Token("ann", right.encode()), Token("bob", secrets.token_urlsafe().encode())))

    def ask(token: str) -> float:
        secret = token.encode()
        start = time.perf_counter_ns()
        for _ in range(BATCH):
            tokens.owner(secret)
        return (time.perf_counter_ns() - start) / BATCH / 1e9

    return ask


def over_http(client: Client) -> Callable[[str], float]:
    """Seconds from the request to its answer, on one connection."""

    def ask(token: str) -> float:
        head = f"GET /loaded HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        start = time.perf_counter_ns()
        client.socket.sendall(head.encode())
        client.json()
        return (time.perf_counter_ns() - start) / 1e9

    return ask


def measure(ask: Callable[[str], float], kinds: dict[str, str], tries: int) -> dict[str, list[float]]:
    """The seconds of each try by its kind."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    order = list(kinds)
    for _ in range(tries):
        random.shuffle(order)
        for kind in order:
            found[kind].append(ask(kinds[kind]))
    return found


def report(found: dict[str, list[float]]) -> None:
    """Tables on stdout."""
    for kind, values in found.items():
        print(f"{kind:<12} median {1e6 * statistics.median(values):>10.3f} us of {len(values)}")
    for one, other in itertools.combinations(found, 2):
        share, z = compared(found[one], found[other])
        print(f"{one} against {other}: takes longer in {share:.2%}, z = {z:+.2f}")


def compared(one: list[float], other: list[float]) -> tuple[float, float]:
    """In which share of pairs the one is greater, and how many standard deviations that is from a half."""
    n, m = len(one), len(other)
    values = np.array(one + other)
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # of equal values, the middle of theirs
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    return u / (n * m), (u - n * m / 2) / deviation


if __name__ == "__main__":
    main()
