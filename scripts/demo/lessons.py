"""Batches to learn from: conversations of like length, padded, and how much each token weighs in the loss."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import torch

from scripts.demo import corpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from scripts.demo.vocabulary import Encoder

LONGEST = 2048  # tokens; what is longer is left out
POOL = 256  # conversations that are sorted by length together
PROMPT_SHARE, PROMPT_WEIGHT = 0.2, 0.2  # of a prompt's tokens: how many are in the loss, and what one of them weighs


@dataclass(frozen=True, slots=True)
class Batch:
    """ids: (conversations, length). places: indices into the flat ids whose next token is in the loss; targets and
    weights: of those. learned: which of the places the model is to write."""

    ids: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    learned: Tensor


def batches(encoder: Encoder, seed: int, tokens: int, level: float) -> Iterator[Batch]:
    """The batches of one pool, in an order by chance, of at most `tokens` tokens each."""
    random = Random(seed)
    pool: list[tuple[list[int], list[bool]]] = []
    while len(pool) < POOL:
        ids, learned = encoder.encode(corpus.conversation(random, random.uniform(0, level)))
        if len(ids) <= LONGEST:
            pool.append((ids, learned))
    pool.sort(key=lambda one: len(one[0]))
    groups = list(_groups(pool, tokens))
    random.shuffle(groups)
    for group in groups:
        yield _batch(group, random)


def _groups(pool: list[tuple[list[int], list[bool]]], tokens: int) -> Iterator[list[tuple[list[int], list[bool]]]]:
    group: list[tuple[list[int], list[bool]]] = []
    for one in pool:
        if group and (len(group) + 1) * len(one[0]) > tokens:
            yield group
            group = []
        group.append(one)
    yield group


def _batch(group: list[tuple[list[int], list[bool]]], random: Random) -> Batch:
    length = max(len(ids) for ids, _ in group)
    rows, places, targets, weights, marks = [], [], [], [], []
    for row, (ids, learned) in enumerate(group):
        rows.append(ids + [0] * (length - len(ids)))
        for at in range(1, len(ids)):
            if learned[at] or random.random() < PROMPT_SHARE:
                places.append(row * length + at - 1)
                targets.append(ids[at])
                weights.append(1.0 if learned[at] else PROMPT_WEIGHT)
                marks.append(learned[at])
    return Batch(
        torch.tensor(rows), torch.tensor(places), torch.tensor(targets), torch.tensor(weights), torch.tensor(marks)
    )
