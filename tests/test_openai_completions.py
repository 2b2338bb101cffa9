"""Completions of raw text: what a body asks for, and what its answer looks like."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest, Unsupported
from runtime.values import Text, TokenLogprob
from runtime.wire import workers_ai
from runtime.wire.openai.completions import Completions, read
from tests.fake_engine import answer
from tests.openai_shapes import HEAD, HI, data, streamed, whole

BODY: dict[str, Any] = {"model": "tiny", "prompt": "Once"}


def asked(**options: Any) -> list[tuple[str | None, int | None]]:
    """Prompt and seed of each run."""
    found = [workers_ai.parse(body) for body in read({**BODY, **options}).bodies]
    assert all(one.raw for one in found)
    return [(one.prompt, one.sampling.seed) for one in found]


def shape(**options: Any) -> Completions:
    return Completions(read({**BODY, **options}), HEAD)


def test_a_prompt_is_raw() -> None:
    assert asked() == [("Once", None)]


def test_each_prompt_has_so_many_choices() -> None:
    assert asked(prompt=["a", "b"], n=2, seed=1) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_logprobs_are_a_number() -> None:
    (body,) = read({**BODY, "logprobs": 3}).bodies
    assert workers_ai.parse(body).sampling.logprobs == 3


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2], [3]]])
def test_tokens_are_refused(prompt: list[Any]) -> None:
    with pytest.raises(Unsupported, match=r"^prompt is not supported as tokens"):
        asked(prompt=prompt)


@pytest.mark.parametrize("given", [{"echo": True}, {"best_of": 2}, {"suffix": "end"}, {"grammar": "x"}], ids=str)
def test_what_there_is_not_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=f"^{next(iter(given))} is not supported: "):
        asked(**given)


def test_what_asks_for_nothing_is_accepted() -> None:
    assert asked(echo=False, best_of=1, suffix=None, user="u") == asked()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "prompt: must be given, found nothing."),
        ("", 'prompt: must not be empty, found "".'),
        ([], "prompt: must be a string, or some of them, found none."),
        (["a"] * 17, "n: must leave at most 16 answers in all, found 1 for each of 17 prompts."),
        ([None], "prompt[0]: must be a string, found null."),
        ({"a": 1}, 'prompt: must be of type string, found {"a": 1}.'),
    ],
    ids=str,
)
def test_a_prompt_that_is_none_is_named(prompt: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(prompt=prompt)
    assert refused.value.message == message


def test_an_answer() -> None:
    found = whole(shape(prompt=["a", "b"]), answer("x"), answer("y", "z", reason="length"))
    assert (found["id"], found["object"]) == ("cmpl-id", "text_completion")
    assert found["choices"] == [
        {"index": 0, "text": "x", "logprobs": None, "finish_reason": "stop"},
        {"index": 1, "text": "yz", "logprobs": None, "finish_reason": "length"},
    ]
    counts = [found["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    assert counts == [10, 3, 13]


def test_a_stream_ends_with_the_reason_then_the_usage_if_it_is_asked_for() -> None:
    *chunks, usage, done = data(streamed(shape(stream_options={"include_usage": True}), answer("x", "y")))
    choices = [(one["text"], one["finish_reason"]) for chunk in chunks for one in chunk["choices"]]
    assert choices == [("x", None), ("y", None), ("", "stop")]
    assert not any("usage" in chunk for chunk in chunks)
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 7, "[DONE]")


def test_log_probabilities_know_where_in_the_text_they_are() -> None:
    events = [Text("Hi", (HI,)), Text("!", (TokenLogprob(5, b"!", -0.5),)), *answer()]
    expected = {
        "tokens": ["Hi", "!"],
        "token_logprobs": [-0.25, -0.5],
        "top_logprobs": [{"Hi": -0.25, "\ufffd": -2.0}, {}],
        "text_offset": [0, 2],
    }
    assert whole(shape(logprobs=2), events)["choices"][0]["logprobs"] == expected
    chunks = data(streamed(shape(logprobs=2), events))[:2]
    assert [chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks] == [[0], [2]]
