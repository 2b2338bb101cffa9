"""More is asked for than the KV cache holds: who can never fit is told, and everyone else waits and is exact."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runtime import Runtime
from runtime.errors import ContextTooLong
from tests.load import HOMES, Asked, at, comes_true, drawn

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS, CONTEXT, SLOTS = 160, 2048, 16


def asked(number: int) -> Asked:
    """Of ten, seven want up to a third of the cells each, two nearly all, and one more than there are."""
    dice = random.Random(number)
    kind = number % 10
    if kind < 7:
        return drawn(dice, prompt=600, tokens=60)
    tokens = dice.randint(1, 60)
    cells = CONTEXT - dice.randint(0, 100) if kind < 9 else CONTEXT + dice.randint(1, 1000)
    return Asked(dice.randrange(64), tokens, before=cells - 2 - tokens)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("home", HOMES)
def test_only_who_does_not_fit_at_all_fails_with_the_numbers_and_all_others_are_exact(home: str, canary: Path) -> None:
    with Runtime(files=[canary], threads=1, slots=SLOTS, context=CONTEXT, queue=REQUESTS, **at(home)) as ai:
        model = ai.catalog.models[-1].id
        outcomes: Counter[str] = Counter()

        def request(number: int) -> None:
            one = asked(number)
            if one.cells > CONTEXT:
                with pytest.raises(ContextTooLong) as refused:
                    ai.run(model, one.body)
                assert refused.value.facts == {"tokens": one.cells, "context": CONTEXT}
                outcomes["refused"] += 1
            else:
                body = ai.run(model, one.body, stream=True)
                assert "".join(event["response"] for event in body) == one.text
                outcomes["exact"] += 1

        with ThreadPoolExecutor(2 * SLOTS) as pool:
            for done in [pool.submit(request, number) for number in range(REQUESTS)]:
                done.result(timeout=300)
        assert sum(asked(number).cells for number in range(2 * SLOTS)) > 5 * CONTEXT  # asked for at once
        assert outcomes == {"exact": 144, "refused": 16}
        assert comes_true(lambda: ai.loaded()[0].running == 0)
        every_cell = Asked(7, CONTEXT - 2)
        assert ai.run(model, every_cell.body)["response"] == every_cell.text
