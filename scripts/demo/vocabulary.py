"""The demo model's vocabulary: byte-level BPE over Llama 3's pre-tokenizer, and Llama 3's control tokens.

A word that is copied must have the same pieces where it is read and where it is written, whatever stands before it. So
merges are learnt within letters alone, digits stay single, and only whole words that are everywhere in prompts get a
token with their space.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, PreTokenizer, Sequence, Split
from tokenizers.trainers import BpeTrainer

from tests.vocabulary import SPECIAL

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from scripts.demo.corpus import Piece

NAMED = SPECIAL[: SPECIAL.index("<|python_tag|>") + 1]  # the control tokens up to the last that has a use
# llama.cpp's "llama-bpe" splits text so (llama-vocab.cpp), as Llama 3's tokenizer.json does.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPACE = "\u0120"  # how byte-level BPE writes it


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """tokens: by id, in their byte-level spelling, the control tokens last; merges in the order of their rank."""

    tokens: tuple[str, ...]
    merges: tuple[tuple[str, str], ...]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"tokens": self.tokens, "merges": self.merges}), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        kept = json.loads(path.read_text("utf-8"))
        return cls(tuple(kept["tokens"]), tuple((left, right) for left, right in kept["merges"]))


class Encoder:
    """Text to ids, as llama.cpp makes them of the exported vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        ids = {token: at for at, token in enumerate(vocabulary.tokens)}
        self._special = {name: ids[name] for name in NAMED}
        plain = {token: at for token, at in ids.items() if token not in self._special}
        self._tokenizer = Tokenizer(BPE(vocab=plain, merges=list(vocabulary.merges), ignore_merges=True))
        self._tokenizer.pre_tokenizer = _pre_tokenizer()

    def encode(self, pieces: Iterable[Piece]) -> tuple[list[int], list[bool]]:
        """The ids of a conversation, and which of them the model is to write."""
        ids: list[int] = []
        learned: list[bool] = []
        for piece in pieces:
            new = [self._special[piece.text]] if piece.special else self.plain(piece.text)
            ids += new
            learned += [piece.learned] * len(new)
        return ids, learned

    def plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids


def learn(texts: list[str], *, merges: int, spaced: int) -> Vocabulary:
    """A vocabulary of the bytes, `merges` merges within letters or punctuation, and `spaced` words with their space."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer(Split(Regex(r"\p{L}+"), "isolated"), Split(Regex(r"\p{N}"), "isolated"))
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        texts, BpeTrainer(vocab_size=256 + merges, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(tokenizer.to_str())["model"]
    known = sorted(model["vocab"], key=model["vocab"].get)
    learnt = [(left, right) for left, right in model["merges"]]
    words = _everywhere(texts, set(known))[:spaced]
    learnt += [(SPACE, word) for word in words]
    return Vocabulary((*known, *(SPACE + word for word in words), *NAMED), tuple(learnt))


def _pre_tokenizer(*further: PreTokenizer) -> PreTokenizer:
    return Sequence([Split(Regex(LLAMA3), "isolated"), *further, ByteLevel(add_prefix_space=False, use_regex=False)])


def _everywhere(texts: list[str], known: set[str]) -> list[str]:
    """Words with a space before them that are tokens without it, the most frequent first."""
    split = _pre_tokenizer()
    counts = Counter(word for text in texts for word, _ in split.pre_tokenize_str(text))
    words = [word.removeprefix(SPACE) for word, _ in counts.most_common() if word.startswith(SPACE)]
    return [word for word in words if len(word) > 1 and word.isascii() and word.isalpha() and word in known]
