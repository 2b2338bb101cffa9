"""What the tokens of a vocabulary are written as, looked up by how they begin."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from runtime.engine.llama import Model

_NONE = 256  # stands for the first byte of a token that writes nothing


class Pieces:
    """Read once a model, when the first constrained request comes: 128,256 pieces take about 0.2 s and 10 MB."""

    def __init__(self, model: Model) -> None:
        with model.in_use():
            pieces = [model.piece(token) for token in range(model.n_vocab)]
            ends = [token for token in range(model.n_vocab) if model.is_end(token)]
        self._sorted = sorted(set(pieces))
        self._first = np.array([piece[0] if piece else _NONE for piece in pieces], np.int16)
        self._counts = np.bincount(self._first, minlength=_NONE)
        self.ends = np.array(ends, np.int64)
        # Those that are no text by themselves: parts of characters, and what llama.cpp's grammar engine takes for some.
        self.odd = np.array([b"\0" in piece or not _is_text(piece) for piece in pieces])
        self.of_byte = {piece[0]: token for token, piece in enumerate(pieces) if len(piece) == 1}

    def beginning(self, first_bytes: NDArray[np.bool_]) -> NDArray[np.integer[Any]]:
        """The tokens whose first byte is one of these, a mask (256,)."""
        return np.flatnonzero(np.append(first_bytes, False)[self._first])

    def count_beginning(self, first_bytes: NDArray[np.bool_]) -> int:
        """How many those are."""
        return int(self._counts[:_NONE][first_bytes].sum())

    def extending(self, piece: bytes) -> list[bytes]:
        """All pieces that begin with this one and go on."""
        start = bisect_right(self._sorted, piece)
        stop = bisect_right(self._sorted, piece + b"\xff" * 8, lo=start)
        return self._sorted[start:stop]


def _is_text(piece: bytes) -> bool:
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
