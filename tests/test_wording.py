"""The service's own words before ours, and alone in parity."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from runtime import errors
from runtime.wire.wording import worded

if TYPE_CHECKING:
    from runtime.errors import LlamaletError

LONG = (
    "Ai: The estimated number of input and maximum output tokens (500064) exceeded this model context window limit "
    "(256000)."
)
BUSY = "Capacity temporarily exceeded, please try again."
WORDS: list[tuple[LlamaletError, str]] = [
    (errors.ContextTooLong("Ours.", "Do so.", tokens=500064, context=256000), LONG),
    (errors.NoBody("Ours.", "Do so.", what="body"), "Request is missing headers or body: body"),
    (errors.TooLarge("Ours.", "Do so."), "Request is too large"),
    (errors.TimedOut("Ours.", "Do so."), "Request timeout"),
    (errors.TooSlow("Ours.", "Do so."), "Request timeout"),
    (errors.Cancelled("Ours.", "Do so."), "Request was aborted"),
    (errors.QueueFull("Ours.", "Do so."), BUSY),
    (errors.UnknownAdapter("Ours.", "Do so.", model="@cf/x/y"), "The model @cf/x/y does not support LoRa inference"),
    (errors.UnknownModel("Ours.", "Do so.", model="@cf/x/y"), "No such model @cf/x/y or task"),
]


@pytest.mark.parametrize(("error", "words"), WORDS, ids=lambda value: type(value).__name__)
def test_in_parity_the_services_words_stand_alone(error: LlamaletError, words: str) -> None:
    assert worded(error, parity=True) == words


@pytest.mark.parametrize(("error", "words"), WORDS, ids=lambda value: type(value).__name__)
def test_elsewhere_ours_follow_them(error: LlamaletError, words: str) -> None:
    assert worded(error, parity=False) == f"{words}{'' if words.endswith('.') else ':'} Ours. Do so."


def test_words_that_ours_begin_with_stand_once() -> None:
    assert worded(errors.DocumentRefused("no number."), parity=False) == "JSON Model couldn't be met: no number."
    assert worded(errors.DocumentRefused("no number."), parity=True) == "JSON Model couldn't be met"


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize(
    "error", [errors.InvalidRequest("Ours."), errors.UnknownModel("Ours."), errors.ContextTooLong("Ours.", tokens=5)]
)
def test_an_error_without_such_words_or_the_facts_for_them_has_ours(error: LlamaletError, parity: bool) -> None:
    assert worded(error, parity=parity) == "Ours."


def test_to_try_again_is_no_advice_where_memory_is_short() -> None:
    error = errors.DoesNotFit("1b needs 2 GiB, 1 GiB available.", "Fits: 1b:Q4_0.")
    assert worded(error, parity=False) == str(error)
    assert worded(error, parity=True) == BUSY


def test_a_huge_name_is_cut() -> None:
    assert len(worded(errors.UnknownModel("Ours.", model="x" * 10_000), parity=True)) < 100


def test_a_name_with_braces_is_a_name() -> None:
    assert worded(errors.UnknownModel("Ours.", model="{model}{0}"), parity=True) == "No such model {model}{0} or task"


def test_facts_cross_a_process_boundary() -> None:
    error = pickle.loads(pickle.dumps(errors.ContextTooLong("Ours.", tokens=5, context=4)))
    assert (error.facts, error.message) == ({"tokens": 5, "context": 4}, "Ours.")
