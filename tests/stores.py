"""What tests of the store share: a hub that this process takes for the real one, and a model that it serves."""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from huggingface_hub import close_session, constants

from runtime.catalog import ModelSpec, Quant
from tests.hub import COMMIT, REPO, LoopbackHub, serving
from tests.rawgguf import model_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

FILE = "tiny-Q8_0.gguf"


def weights(size: int = 3_000_000, seed: int = 0) -> bytes:
    """A model file that passes every check, of about that many bytes, no two pieces of which are alike."""
    head = model_bytes()
    return head + random.Random(seed).randbytes(max(0, size - len(head)))


@contextlib.contextmanager
def loopback(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes] | None = None) -> Iterator[LoopbackHub]:
    """A hub, which `huggingface_hub` takes for the real one."""
    with serving(files or {FILE: weights()}) as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        try:
            yield hub
        finally:
            close_session()


def environment(hub: LoopbackHub) -> dict[str, str]:
    """For a process that shall take it for the real one."""
    kept = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return kept | {"HF_ENDPOINT": hub.url, "PYTHONPATH": os.getcwd()}


def spec_of(hub: LoopbackHub, **changes: Any) -> ModelSpec:
    """The catalogue's entry of the file. changes: of its quant."""
    quant = Quant("Q8_0", FILE, len(hub.files[FILE]), hub.sha256(FILE))
    return ModelSpec("tiny", (replace(quant, **changes),), "Q8_0", repo=REPO, revision=COMMIT)
