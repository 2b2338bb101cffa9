"""Who is told of what happens to models and to runs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtime.catalog import ModelSpec
    from runtime.engine import Emit
    from runtime.pipeline import Job


class Observer:
    """Makes nothing of what it is told. Those that do are called from any thread, and return at once."""

    def has_loaded(self, spec: ModelSpec, seconds: float) -> None:
        """A model has come into memory, which took so long."""

    def has_unloaded(self, spec: ModelSpec) -> None:
        """A model is about to give its memory back."""

    def run(self, job: Job, emit: Emit) -> contextlib.AbstractContextManager[Emit]:
        """Around the beginning of a run, waiting for its model included; what is raised inside is why it has not begun.
        Gives what its events are to go to in place of `emit`."""
        return contextlib.nullcontext(emit)
