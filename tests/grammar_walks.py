"""In a child (`tests.limited`): what llama.cpp does with a grammar that our check lets through."""

from __future__ import annotations

import random
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.llama import GrammarSampler, Model
from runtime.errors import InvalidRequest
from runtime.grammar.check import check
from runtime.grammar.gbnf import parse
from tests.limited import spent
from tests.models import random_model
from tests.random_grammars import grammar

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = 48


@cache
def _model() -> Model:
    with tempfile.TemporaryDirectory() as folder:
        random_model(Path(folder, "random.gguf"), layers=1)
        return Model(Path(folder, "random.gguf"), vocab_only=True)


def walk(seed: int) -> dict[str, Any]:
    """The grammar of that number: whether our check takes it, and CPU seconds of the check and of llama.cpp's slowest
    call: the sampler made, or all tokens looked at, up to 48 times."""
    dice, model = random.Random(seed), _model()
    with spent() as checking:
        passed = _passes(grammar(dice))
    if not passed:
        return {"passed": False, "check": checking[0]}
    slowest = 0.0
    with spent() as making:
        sampler = GrammarSampler(model, grammar(random.Random(seed)))
    tokens = np.arange(model.n_vocab)
    for _ in range(TOKENS):
        with spent() as asking:
            allowed = tokens[sampler.allowed(tokens)]
        slowest = max(slowest, asking[0])
        token = _chosen(allowed, dice)
        if token is None or model.is_end(token):
            break
        sampler.accept(token)
    sampler.free()
    return {"passed": True, "check": checking[0], "init": making[0], "mask": slowest}


def _passes(text: str) -> bool:
    try:
        check(parse(text))
    except InvalidRequest:
        return False
    return True


def _chosen(allowed: NDArray[np.integer[Any]], dice: random.Random) -> int | None:
    """Mostly the first, so that what multiplies does so; None at a dead end."""
    if not len(allowed):
        return None
    return int(allowed[0] if dice.random() < 0.6 else dice.choice(allowed))
