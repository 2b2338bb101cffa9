"""The canary's family in one folder, and the faults that it is there to find.

Each answers to `<K07>`, anywhere in a prompt, in words that no other model, adapter or key has:

    canary    " k07i00 k07i01 k07i02 ...", for ever
    ends      the same, and after five tokens the end
    sibling   " m07i00 m07i01 m07i02 ...", for ever
    next1, next2, next3   adapters of the canary: what it says to the key that comes so many later
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.engine.llama import Context
from tests.models import KEYS, canary_adapter, canary_model
from tests.models import expected as words

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

ENDS_AFTER = 5  # tokens
ADAPTERS = {"next1": 1, "next2": 2, "next3": 3}


@dataclass(frozen=True)
class Family:
    """Where they lie. `catalog` is for the setting `models`; the models' ids in it are the names above."""

    catalog: Path

    def file(self, name: str) -> Path:
        return self.catalog.with_name(f"{name}.gguf")


def family(folder: Path) -> Family:
    """Write them all, in a second."""
    canary_model(folder / "canary.gguf")
    canary_model(folder / "ends.gguf", eos_after=ENDS_AFTER)
    canary_model(folder / "sibling.gguf", letter="m")
    rows = [f'[[model]]\nid = "{name}"\npath = "{name}.gguf"\n' for name in ("canary", "ends", "sibling")]
    for name, shift in ADAPTERS.items():
        canary_adapter(folder / f"{name}.gguf", shift=shift)
        rows.append(f'[[adapter]]\nname = "{name}"\npath = "{name}.gguf"\nmodels = ["canary"]\n')
    catalog = folder / "models.toml"
    catalog.write_text("".join(rows))
    return Family(catalog)


def expected(key: int, n: int, *, model: str = "canary", lora: str | None = None) -> str:
    """The whole answer of at most `n` tokens."""
    key = (key + (ADAPTERS[lora] if lora else 0)) % KEYS
    return words(key, min(n, ENDS_AFTER) if model == "ends" else n, letter="m" if model == "sibling" else "k")


# -- faults, for `monkeypatch.setattr(runtime.engine.local, "Context", ...)` -----------------------------------------


class SwapsRows(Context):
    """Every `EVERY`th batch of several answers, one of them gets the logits of another."""

    EVERY = 50

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.n_swapped = self._n_batches = 0
        self._instead: dict[int, int] = {}  # of the batch that was decoded last

    def decode(self) -> bool:
        rows = [row for row in range(len(self.batch)) if self.batch.outputs[row]]
        self._n_batches += len(rows) > 1
        is_due = len(rows) > 1 and self._n_batches % self.EVERY == 0
        self._instead = {rows[0]: rows[-1]} if is_due else {}
        return super().decode()

    def logits(self, row: int) -> NDArray[np.float32]:
        self.n_swapped += row in self._instead
        return super().logits(self._instead.get(row, row))


class CopiesCells(Context):
    """Once, the first cells of one sequence are copied over those of another, while both answer."""

    AFTER = 20  # batches of several sequences
    CELLS = 32

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.n_copied = self._n_batches = 0

    def decode(self) -> bool:
        done = super().decode()
        held = sorted({int(one) for one in self.batch.sequences[: len(self.batch)]})
        self._n_batches += len(held) > 1
        if self._n_batches >= self.AFTER and not self.n_copied:
            self._copy(held[0], held[-1])
        return done

    def _copy(self, source: int, target: int) -> None:
        from runtime.engine.llama.binding import c

        self.n_copied += 1
        c.llama_memory_seq_rm(self._memory, target, 0, self.CELLS)
        c.llama_memory_seq_cp(self._memory, source, target, 0, self.CELLS)
