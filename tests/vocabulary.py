"""A byte-level BPE vocabulary like Llama 3's, with some hundred tokens in place of 128,256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4  # llama_token_type

# In the order of Llama 3.1 and 3.2, where they take the ids from 128000 on.
SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|reserved_special_token_3|>",
    "<|reserved_special_token_4|>",
)
_LETTERS = ("th", "in", "er", "an", "on", "re", "he", "at", "ou", "st", "ing", "00", "\n\n")
_WORDS = (
    " the",
    " and",
    " of",
    " to",
    " user",
    "user",
    "assistant",
    "system",
    " you",
    " is",
    " hello",
    " world",
    "123",
)

_SHOWN = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
_HIDDEN = [byte for byte in range(256) if byte not in _SHOWN]
# GPT-2's character for each byte: itself where it prints, else the next from 256 on.
_BYTES = [chr(byte) if byte in _SHOWN else chr(256 + _HIDDEN.index(byte)) for byte in range(256)]


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in their byte-level spelling with their llama_token_type, and the merges in the order of their rank."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def id(self, token: str) -> int:
        return self.tokens.index(token)


def spell(text: str | bytes) -> str:
    """How byte-level BPE writes text: each byte is one printable character, a space is Ġ."""
    return "".join(_BYTES[byte] for byte in (text.encode() if isinstance(text, str) else text))


def vocabulary(words: Iterable[str] = (), *, extra: Mapping[str, int] | None = None) -> Vocabulary:
    """Llama 3's vocabulary in miniature: every byte, some words with the merges that make them, the special tokens.

    `words` are added to a few English ones. `extra` has tokens that no merge makes, in their spelling, with their type.
    """
    tokens = list(_BYTES)
    merges: list[tuple[str, str]] = []
    for word in (*_LETTERS, *_WORDS, *words):
        parts = _merged(list(spell(word)), merges)
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts[:2] = [parts[0] + parts[1]]
            tokens.append(parts[0])
    tokens = list(dict.fromkeys(tokens))
    types = [NORMAL] * len(tokens)
    for token, kind in (extra or {}).items():
        tokens.append(token)
        types.append(kind)
    types += [CONTROL] * len(SPECIAL)
    return Vocabulary((*tokens, *SPECIAL), tuple(types), tuple(f"{left} {right}" for left, right in merges))


def _merged(parts: list[str], merges: Sequence[tuple[str, str]]) -> list[str]:
    """What BPE makes of the parts: each merge in turn, wherever it fits."""
    for left, right in merges:
        index = 0
        while index < len(parts) - 1:
            if (parts[index], parts[index + 1]) == (left, right):
                parts[index : index + 2] = [left + right]
            index += 1
    return parts
