"""Where this user's own files are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from runtime.errors import ConfigError


def own(kind: Literal["config", "state"]) -> Path:
    """Where the system has our files of that kind. Raises `ConfigError` for a user without a home."""
    import platformdirs

    try:
        return Path(getattr(platformdirs, f"user_{kind}_path")("llamalet", appauthor=False))
    except RuntimeError:
        raise ConfigError("This user has no home folder.", "Set HOME to one.") from None
