"""Load on a `Runtime`: what is asked of it, and whether it has everything back afterwards."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.errors import EngineClosed
from tests.canary import ADAPTERS, expected
from tests.models import KEYS, key_token

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from runtime import Runtime

HOMES = ("none", "process")  # where the engine lives: in the test's process, or in one of its own
CELLS = 131_072  # tokens of context: so many that no test writes them all, and requests that hold them all stay


def at(home: str) -> dict[str, Any]:
    """Options of a `Runtime` whose engines live there."""
    return {"isolation": home}


@dataclass(frozen=True)
class Asked:
    """A request to one of the canaries, of which the whole answer is known."""

    key: int
    tokens: int
    model: str = "canary"
    lora: str | None = None
    before: int = 0  # tokens of the prompt before the key
    after: int = 0

    @property
    def body(self) -> dict[str, Any]:
        """No chat format is around the prompt, so that its tokens are known."""
        prompt = "~" * self.before + key_token(self.key) + "~" * self.after
        return {"prompt": prompt, "raw": True, "max_tokens": self.tokens, "temperature": 0, "lora": self.lora}

    @property
    def text(self) -> str:
        return expected(self.key, self.tokens, model=self.model, lora=self.lora)

    @property
    def cells(self) -> int:
        """Tokens of the context that it takes."""
        return 2 + self.before + self.after + self.tokens  # a token begins the text, one is the key


def drawn(dice: random.Random, *, tokens: int = 100, prompt: int = 400, several: bool = False) -> Asked:
    """One of at most so many tokens; where `several`, of one of the models, or with an adapter."""
    name = dice.choice(("canary", "ends", "sibling", *ADAPTERS)) if several else "canary"
    return Asked(
        dice.randrange(KEYS),
        dice.randint(1, tokens),
        model="canary" if name in ADAPTERS else name,
        lora=name if name in ADAPTERS else None,
        before=dice.randint(0, prompt // 2),
        after=dice.randint(0, prompt // 2 - 1),
    )


def whole(ai: Runtime, asked: Asked) -> str:
    text: str = ai.run(asked.model, asked.body)["response"]
    return text


def streamed(ai: Runtime, asked: Asked) -> str:
    """What a stream gives; one that the runtime's end cuts gives a part of it, and then raises that."""
    text = ""
    try:
        for event in ai.run(asked.model, asked.body, stream=True):
            text += event["response"]
    except EngineClosed:
        assert asked.text.startswith(text)
        raise
    return text


def comes_true(condition: Callable[[], bool], seconds: float = 1.0) -> bool:
    """Whether it does within the time that is promised."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        threading.Event().wait(0.01)
    return condition()


def everything_is_free(ai: Runtime, model: str, slots: int, context: int = CELLS) -> bool:
    """Whether all slots and all cells can be had: by as many requests as there are slots, which hold all the cells and
    answer all at once."""
    with contextlib.ExitStack() as stack:
        streams = []
        for key in range(slots):
            asked = Asked(key, context // slots - 2)
            streams.append(stack.enter_context(ai.run(model, asked.body, stream=True)))
        assert [next(stream)["response"] for stream in streams] == [expected(key, 1) for key in range(slots)]
        for stream in streams:
            stream.cancel()
        ends = [list(stream)[-1]["finish_reason"] for stream in streams]
    return ends == ["cancelled"] * slots
