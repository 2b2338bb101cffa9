"""The numbers of docs/raspberry-pi.md are those of `runtime.fit`, and of the arithmetic that the page states."""

from __future__ import annotations

import pytest

from runtime import catalog, fit
from runtime.errors import DoesNotFit
from runtime.fit import MIB, Room
from tests.snippets import ROOT

PAGE = (ROOT / "docs" / "raspberry-pi.md").read_text("utf-8")
CATALOG = catalog.load().models
SPECS = {spec.aliases[0]: spec for spec in CATALOG}
SLOTS = 4
AVAILABLE = {"4 GB": 3792 - 220, "8 GB": 7819 - 220, "16 GB": 2 * 7819 - 220}  # MiB, as the page derives them
GIGABYTES = {"Pi 5": 10.0, "Pi 4": 3.5}  # a second, as the page derives them from others' measurements
SD_CARD = 104e6  # bytes a second, the most of SDR104
Q4_K = 144 / 256  # bytes a weight


def model(name: str) -> fit.Model:
    found = fit.of_quant(SPECS[name], SPECS[name].quant(SPECS[name].default_quant))
    assert found
    return found


def read(name: str) -> float:
    """Bytes that a token reads: all weights, but of an embedding that is not the output matrix too a single row."""
    one = model(name)
    return one.weights - (0 if one.shape.tied else one.shape.vocabulary * one.shape.width * Q4_K)


def speed(name: str, board: str, tokens: int) -> str:
    cache = tokens * fit.kv_bytes(model(name).shape, "f16")
    return f"{GIGABYTES[board] * 1e9 / (read(name) + cache):.1f}"


def told(name: str, available: int, copies_output: bool) -> str:
    first, *_ = models = fit.candidates(SPECS[name])
    try:
        plan = fit.choose(models, Room(available * MIB, copies_output), slots=SLOTS, others=fit.smaller(CATALOG, first))
    except DoesNotFit:
        return "no"
    return f"{plan.model.quant}, {plan.context} tokens, {fit.shown(plan.need.total + fit.MARGIN)}"


def test_what_fits_is_what_is_chosen() -> None:
    rows = ["| board | 1b | 3b | 8b |", "|---|---|---|---|"]
    for board, copies in (("Pi 5", True), ("Pi 4", False)):
        for size, available in AVAILABLE.items():
            if (board, size) != ("Pi 4", "16 GB"):
                rows.append(f"| {board}, {size} | {' | '.join(told(name, available, copies) for name in SPECS)} |")
    assert "\n".join(rows) in PAGE


def test_speeds_are_bandwidth_by_bytes() -> None:
    rows = ["| | GB a token | Pi 5 | Pi 5, 4,096 tokens in the cache | Pi 4 |", "|---|---:|---:|---:|---:|"]
    for name in SPECS:
        speeds = [speed(name, "Pi 5", 0), speed(name, "Pi 5", 4096), speed(name, "Pi 4", 0)]
        rows.append(f"| {name} | {read(name) / 1e9:.2f} | {' | '.join(speeds)} |")
    assert "\n".join(rows) in PAGE


def test_the_bandwidth_is_that_of_the_measurements_named() -> None:
    rows = [
        ("Pi 5, 16 GB", "3b", 4.88, read("3b"), "Pi 5"),
        ("Pi 5, 16 GB", "8b", 2.17, read("8b"), "Pi 5"),
        ("Pi 5", "TinyLlama 1.1B in Q8_0", 9, 1.1e9 * 34 / 32, "Pi 5"),
        ("Pi 4", "TinyLlama 1.1B in Q8_0", 3, 1.1e9 * 34 / 32, "Pi 4"),
    ]
    for board, name, speed, size, kind in rows:
        assert f"| {board} | {name} | {speed} | {size / 1e9:.2f} | {speed * size / 1e9:.1f} |" in PAGE
        assert speed * size / 1e9 == pytest.approx(GIGABYTES[kind], rel=0.06)


def test_a_prompt_takes_the_weights_by_those_of_tinyllama() -> None:
    seconds = [
        f"{500 / (reads * 1.1e9 / model(name).shape.parameters):.0f}" for reads in (35, 10) for name in ("1b", "3b")
    ]
    assert f"16 s for the 1B and {seconds[1]} s for the 3B on a Pi 5,\nand of {seconds[2]} s and {seconds[3]} s" in PAGE
    assert seconds[0] == "16"


def test_loading_takes_the_size_by_the_speed_of_the_card() -> None:
    seconds = [f"{model(name).weights / SD_CARD:.0f}" for name in SPECS]
    assert f"at least {seconds[0]} s for the 1B, {seconds[1]} s for the 3B and {seconds[2]} s for the 8B" in PAGE
