"""No test reads the configuration, or the models, of whoever runs it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

# Before anything imports them: the hub reads the first once, llama.cpp the others.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else idle threads burn the cores that tests share

from huggingface_hub import constants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, for the test and the processes that it starts. The hub's cache is in it, `hub`."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(("LLAMALET_", "HF_", "HUGGINGFACE_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "HF_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))  # read from the environment at the import
    return home


@pytest.fixture(autouse=True)
def _log_level() -> Iterator[None]:
    """The level is a setting, and stays in the process."""
    logger = logging.getLogger("llamalet")
    before = logger.level
    yield
    logger.setLevel(before)
