"""Unloading gives the memory back to the system, every time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.models import random_model
from tests.vocabulary import NORMAL, vocabulary

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


def test_unloading_returns_nearly_all_that_loading_took_ten_times_in_a_row(tmp_path: Path) -> None:
    """In a process of its own, where nothing else takes or gives memory. Its vocabulary is in small blocks, which an
    allocator may keep."""
    model = tmp_path / "large.gguf"
    words = vocabulary(extra=dict.fromkeys((f"w{number}" for number in range(40_000)), NORMAL))
    random_model(model, layers=1, embedding=256, ff=4096, vocab=words, tied=True)
    command = [sys.executable, "-m", "scripts.measure_unload", "--model", str(model), "--context", "1024", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    first, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["took"] - first["gave_back"] < 12 * MIB  # the code, which stays
    assert len(found) == 10
    for one in found:
        assert one["took"] > 50 * MIB
        assert one["gave_back"] >= 0.95 * one["took"], found
