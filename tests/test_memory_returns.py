"""Unloading gives the memory back to the system, every time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.models import random_model

ROOT = Path(__file__).parents[1]
MIB = 1 << 20


def test_unloading_returns_nearly_all_that_loading_took_ten_times_in_a_row(tmp_path: Path) -> None:
    """In a process of its own, where nothing else takes or gives memory."""
    model = tmp_path / "large.gguf"
    random_model(model, embedding=512, ff=4096)
    command = [sys.executable, "-m", "scripts.measure_unload", "--model", str(model), "--context", "1024", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    first, *found = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["took"] - first["gave_back"] < 16 * MIB  # the code, which stays
    assert len(found) == 10
    for one in found:
        assert one["took"] > 50 * MIB
        assert one["gave_back"] >= 0.95 * one["took"], found
