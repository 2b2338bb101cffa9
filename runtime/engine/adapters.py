"""The LoRA adapters of a model, by name: each loaded with it, or known to be of no use."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from runtime import gguf
from runtime.errors import LlamaletError, UnknownAdapter

if TYPE_CHECKING:
    from runtime.catalog import Adapter
    from runtime.engine import EngineConfig
    from runtime.engine.llama import Model

log = logging.getLogger("llamalet.engine")


class Adapters:
    """Those that the configuration names. One that cannot be used concerns only those who ask for it."""

    def __init__(self, config: EngineConfig, model: Model) -> None:
        base = gguf.read_header(config.model) if config.adapters else None
        self._known = {one.name: _load(one, model, base) for one in config.adapters}

    def named(self, name: str) -> tuple[Any, float]:
        """llama.cpp's adapter, and its strength. Raises `UnknownAdapter`, or why it cannot be used."""
        adapter = self._known.get(name)
        if adapter is None:
            known = ", ".join(sorted(self._known)) or "none"
            raise UnknownAdapter(f"There is no LoRA adapter {name!r} for this model; there are: {known}.")
        if isinstance(adapter, LlamaletError):
            raise copy.copy(adapter)  # of its own for each caller, as it collects their tracebacks
        return adapter


def _load(adapter: Adapter, model: Model, base: gguf.Header | None) -> tuple[Any, float] | LlamaletError:
    try:
        gguf.check_adapter(adapter.path, base)
        return model.load_adapter(adapter.path), adapter.scale
    except LlamaletError as error:
        log.warning("LoRA adapter %s cannot be used: %s", adapter.name, error)
        return error
