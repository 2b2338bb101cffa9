"""Nothing in the crash corpus ends, hangs or misleads: each case twice, and two right answers behind it.

Every case runs in a child, so that one that ends the process fails by its name. Time is the child's CPU time, of all
its threads, since the machine may be busy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.corpus_cases import CASES
from tests.limited import Limited

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 2.0


@pytest.fixture(scope="module")
def child() -> Iterator[Limited]:
    with Limited("tests.corpus:run") as child:
        yield child


@pytest.mark.parametrize("name", CASES)
def test_the_case_ends_as_it_should_and_the_next_request_rightly(child: Limited, name: str) -> None:
    found = child.ask(name)
    assert found["wrong"] is None, found["wrong"]
    assert found["seconds"] <= SECONDS
