"""Data beside the project that some tests use. A clone elsewhere has none of it, and those tests skip there."""

from __future__ import annotations

from pathlib import Path

import pytest

_beside = Path(__file__).resolve().parents[2] / "shared"
SHARED: Path | None = _beside if _beside.is_dir() else None


def needs_shared(file: str) -> pytest.MarkDecorator:
    """Skip the test where `shared/<file>` is not at hand."""
    missing = SHARED is None or not (SHARED / file).exists()
    return pytest.mark.skipif(missing, reason=f"needs shared/{file}, which is not beside this clone")


def shared(file: str) -> Path:
    """The path of `shared/<file>`, for tests marked with `needs_shared`."""
    assert SHARED is not None
    return SHARED / file
