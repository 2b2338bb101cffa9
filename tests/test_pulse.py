"""The pulse: what llama.cpp computes is counted by a function of C's, which ends a batch when it is told to."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING

import pytest

from runtime.engine.llama import Context, Model, Pulse, pulse
from runtime.engine.page import Page
from tests.models import random_model

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(sys.platform != "linux", reason="C libraries of other systems do otherwise")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = tmp_path_factory.mktemp("models") / "random.gguf"
    random_model(path)
    loaded = Model(path)
    yield loaded
    loaded.free()


def decode(context: Context, position: int) -> bool:
    context.batch.clear()
    context.batch.add(0, [1], position, outputs=1)
    return context.decode()


@linux
def test_every_node_of_a_batch_is_counted(model: Model) -> None:
    context = Context(model, n_ctx=64, n_batch=32, n_seq_max=1, threads=1)
    counts = []
    for position in range(3):
        before = context.pulse.nodes
        assert decode(context, position)
        counts.append(context.pulse.nodes - before)
    context.free()
    assert min(counts) > 20  # of two layers, each of which is a dozen and more
    assert len(set(counts)) == 1


@pytest.mark.parametrize("counted", [True, False])
def test_a_batch_is_ended_and_the_next_is_not(model: Model, counted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "COUNTS_NODES", counted and pulse.COUNTS_NODES)
    context = Context(model, n_ctx=64, n_batch=32, n_seq_max=1, threads=1)
    assert decode(context, 0)
    context.abort(True)
    context.abort(True)
    assert [decode(context, 1), decode(context, 1)] == [False, False]
    context.abort(False)
    assert decode(context, 1)
    context.free()


@linux
def test_counting_alone_never_ends_a_batch(model: Model) -> None:
    context = Context(model, n_ctx=64, n_batch=32, n_seq_max=1, threads=1)
    ctypes.c_uint32.from_address(context.pulse.argument.value or 0).value = pulse.FULL - 1
    assert decode(context, 0)
    assert 20 < context.pulse.nodes < pulse.HIGH
    context.free()


def test_both_counts_are_seen_from_outside() -> None:
    page = Page.new()
    mine = Pulse(page.memory)
    seen = [page.counts()]
    mine.beat()
    seen.append(page.counts())
    mine.abort(True)
    seen.append(page.counts())
    mine.abort(False)
    mine.abort(False)
    seen.append(page.counts())
    assert len(set(seen)) == 3
    assert (seen[0], seen[3]) == ((0, 0), seen[1])


@linux
def test_the_c_library_of_this_machine_counts() -> None:
    assert pulse.counts_nodes()
