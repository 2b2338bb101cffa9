"""What a body means, and what of it is refused."""

from __future__ import annotations

import logging
import re
from types import MappingProxyType
from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.values import Inputs, Message, Sampling
from runtime.wire import published, workers_ai

BODIES: list[dict[str, Any]] = [{"prompt": "Hi"}, {"messages": [{"role": "user", "content": "Hi"}]}]


def parse(**options: Any) -> Inputs:
    return workers_ai.parse({"prompt": "Hi", **options})


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_prompt_alone_has_the_services_defaults() -> None:
    assert parse() == Inputs(prompt="Hi", max_tokens=256, sampling=Sampling(temperature=0.6))


def test_messages_are_normalised() -> None:
    parts = [{"type": "text", "text": "Hi"}]
    inputs = workers_ai.parse({"messages": [{"role": "developer", "content": parts}, Message("user", "Ho")]})
    assert inputs.messages == (Message("system", "Hi"), Message("user", "Ho"))


@pytest.mark.parametrize("body", BODIES, ids=["prompt", "messages"])
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("raw", True, True),
        ("stream", True, True),
        ("max_tokens", 1, 1),
        ("max_tokens", 50.0, 50),
        ("lora", "tales", "tales"),
        ("date", "26 Jul 2024", "26 Jul 2024"),
        ("timeout", 0.5, 0.5),
        ("stop", "END", ("END",)),
        ("stop", ["a", "b"], ("a", "b")),
        ("stop", ("a", "b"), ("a", "b")),
        ("stop", [], ()),
    ],
)
def test_an_option_arrives(body: dict[str, Any], name: str, value: Any, expected: Any) -> None:
    assert getattr(workers_ai.parse({**body, name: value}), name) == expected


@pytest.mark.parametrize("body", BODIES, ids=["prompt", "messages"])
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("temperature", 0, 0.0),
        ("temperature", 5, 5.0),
        ("top_p", 0, 0.0),
        ("top_p", 2, 2.0),
        ("top_k", 1, 1),
        ("top_k", 50, 50),
        ("top_k", 7.0, 7),
        ("seed", 1, 1),
        ("seed", 9999999999, 9999999999),
        ("repetition_penalty", 0, 0.0),
        ("repetition_penalty", 2, 2.0),
        ("frequency_penalty", 2, 2.0),
        ("presence_penalty", 2, 2.0),
        ("min_p", 0.05, 0.05),
        ("logit_bias", {"5": -100, "70": 1.5}, ((5, -100.0), (70, 1.5))),
        ("logit_bias", MappingProxyType({"5": 1}), ((5, 1.0),)),
        ("logit_bias", {}, ()),
        ("logprobs", True, 0),
        ("logprobs", False, None),
        ("top_logprobs", 3, 3),
    ],
)
def test_an_option_of_sampling_arrives(body: dict[str, Any], name: str, value: Any, expected: Any) -> None:
    sampling = workers_ai.parse({**body, name: value}).sampling
    field = {"top_logprobs": "logprobs"}.get(name, name)
    assert (getattr(sampling, field), type(getattr(sampling, field))) == (expected, type(expected))


def test_every_published_option_is_taken_or_refused_by_name() -> None:
    taken = set(Inputs.__dataclass_fields__) | set(Sampling.__dataclass_fields__)
    taken |= {"functions", "response_format", *workers_ai.NEVER}
    assert set(published.options(published.NAMES[0], "Prompt")) <= taken


def test_logprobs_that_are_off_win_over_top_logprobs() -> None:
    assert parse(logprobs=False, top_logprobs=3).sampling.logprobs is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature: must be at least 0, found -0.1."),
        ({"temperature": 5.1}, "temperature: must be at most 5, found 5.1."),
        ({"temperature": "hot"}, 'temperature: must be of type number, found "hot".'),
        ({"temperature": True}, "temperature: must be of type number, found true."),
        ({"temperature": float("nan")}, "temperature is nan; it must be a finite number."),
        ({"temperature": float("inf")}, "temperature is inf; it must be a finite number."),
        ({"temperature": 1j}, "temperature is a Python complex; it must be what JSON can hold."),
        ({"top_p": 2.1}, "top_p: must be at most 2, found 2.1."),
        ({"top_p": -1}, "top_p: must be at least 0, found -1."),
        ({"top_k": 0}, "top_k: must be at least 1, found 0."),
        ({"top_k": 51}, "top_k: must be at most 50, found 51."),
        ({"top_k": 1.5}, "top_k: must be of type integer, found 1.5."),
        ({"top_k": True}, "top_k: must be of type integer, found true."),
        ({"seed": 0}, "seed: must be at least 1, found 0."),
        ({"seed": 10**10}, "seed: must be at most 9999999999, found 10000000000."),
        ({"repetition_penalty": 2.5}, "repetition_penalty: must be at most 2, found 2.5."),
        ({"frequency_penalty": -1}, "frequency_penalty: must be at least 0, found -1."),
        ({"presence_penalty": 3}, "presence_penalty: must be at most 2, found 3."),
        ({"max_tokens": 0}, "max_tokens: must be at least 1, found 0."),
        ({"max_tokens": 2**31}, "max_tokens: must be at most 2147483647, found 2147483648."),
        ({"max_tokens": 10**5000}, "max_tokens is a whole number of 16610 bits; it must have at most 1024."),
        ({"max_tokens": "9"}, 'max_tokens: must be of type integer, found "9".'),
        ({"raw": 1}, "raw: must be of type boolean, found 1."),
        ({"stream": "yes"}, 'stream: must be of type boolean, found "yes".'),
        ({"prompt": ""}, 'prompt: must not be empty, found "".'),
        ({"prompt": 5}, "prompt: must be of type string, found 5."),
        ({"prompt": b"Hi"}, "prompt is a Python bytes; it must be what JSON can hold."),
        ({"lora": 5}, "lora: must be of type string, found 5."),
        ({"min_p": 1.5}, "min_p: must be at most 1, found 1.5."),
        (
            {"stop": [""]},
            'stop: must be a string or an array of at most 16 strings, none of them empty, found [""].',
        ),
        (
            {"stop": ["ab"] * 17},
            (
                "stop: must be a string or an array of at most 16 strings, none of them empty, "
                'found ["ab", "ab", "ab", "ab", "ab", "ab", "ab", "ab", "ab", "a....'
            ),
        ),
        ({"logit_bias": {"5": 101}}, "logit_bias['5']: must be at most 100, found 101."),
        ({"logit_bias": {"x": 1}}, 'logit_bias: must have ids of tokens, in digits, as its keys, found "x".'),
        ({"logit_bias": {str(n): 1 for n in range(301)}}, "logit_bias: must have at most 300 keys, found 301."),
        ({"logprobs": 3}, "logprobs: must be of type boolean, found 3."),
        ({"top_logprobs": 21}, "top_logprobs: must be at most 20, found 21."),
        ({"date": "d" * 65}, "date: must have at most 64 characters, found 65."),
        ({"timeout": 0}, "timeout: must be more than 0, found 0."),
        ({"timeout": 2592001}, "timeout: must be at most 2592000, found 2592001."),
        ({"other": {"list": [1, float("inf")]}}, "other.list[1] is inf; it must be a finite number."),
        ({"other": {5: 1}}, "A key of other is a number; it must be a string."),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value)),
)
def test_a_wrong_option_is_named_with_what_is_expected_and_found(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(**options)
    assert refused.value.message == message


@pytest.mark.parametrize("name", ["temperature", "max_tokens", "lora", "stop"])
def test_messages_have_the_same_bounds(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{name}: must be"):
        workers_ai.parse({**BODIES[1], name: -1})


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"prompt": "a\ud83d"}, "prompt"),
        ({"prompt": "Hi", "stop": ["\udc00"]}, "stop[0]"),
        ({"prompt": "Hi", "\ud800": 1}, "a key of the inputs"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
    ],
)
def test_a_lone_surrogate_is_refused_with_its_place(body: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{re.escape(path)}: .*lone surrogate U\\+D"):
        workers_ai.parse(body)


def test_nesting_is_taken_to_a_depth_of_64() -> None:
    assert parse(other=deep(63)).ignored == ("other",)


def test_deeper_nesting_is_refused_with_the_bound() -> None:
    with pytest.raises(InvalidRequest, match=r"deeper than 64 levels, at other\[0\]\[0\]"):
        parse(other=deep(64))


def schema(levels: int) -> dict[str, Any]:
    """Each level is an object in an object."""
    made: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        made = {"items": made}
    return {"response_format": {"type": "json_schema", "json_schema": made}}


def test_where_schemas_are_more_nesting_is_taken_as_they_have_a_bound_of_their_own() -> None:
    assert parse(**schema(134)).document is not None
    with pytest.raises(InvalidRequest, match=r"deeper than 136 levels, at response_format\.json_schema"):
        parse(**schema(135))


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize(
    ("name", "most", "one"),
    [
        ("messages", 1000, {"role": "user", "content": "Hi"}),
        ("tools", 64, {"name": "f{}", "description": "", "parameters": {"type": "object", "properties": {}}}),
        ("functions", 64, {"name": "f{}", "code": ""}),
    ],
)
def test_so_many_are_taken_and_no_more(name: str, most: int, one: dict[str, Any], parity: bool) -> None:
    def body(count: int) -> dict[str, Any]:
        many = [one | ({"name": one["name"].format(at)} if "name" in one else {}) for at in range(count)]
        return {"messages": [{"role": "user", "content": "Hi"}], name: many}

    assert workers_ai.parse(body(most), parity=parity)
    with pytest.raises(InvalidRequest, match=f"^{name}: must have at most {most} entries, found {most + 1}\\."):
        workers_ai.parse(body(most + 1), parity=parity)


@pytest.mark.parametrize("stop", ["é" * 128, ["é" * 128], ["x"] * 16])
def test_stop_strings_within_the_bounds_are_taken(stop: Any) -> None:
    assert parse(stop=stop).stop


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ("é" * 128 + "x", "at most 256 bytes in each string, found 257"),
        (["x", "é" * 129], "at most 256 bytes in each string, found 258"),
        (["x"] * 17, "at most 16 strings"),
    ],
)
def test_stop_strings_beyond_them_are_refused(stop: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^stop: must .*{words}"):
        parse(stop=stop)


def test_a_bias_is_taken_for_300_tokens_and_no_more() -> None:
    assert len(parse(logit_bias={str(token): 1 for token in range(300)}).sampling.logit_bias) == 300
    with pytest.raises(InvalidRequest, match="logit_bias: must have at most 300 keys, found 301"):
        parse(logit_bias={str(token): 1 for token in range(301)})


def test_nesting_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidRequest, match="deeper than 64 levels"):
        parse(other=endless)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": "x" * 10**6},
        {"prompt": ["x" * 10**6]},
        {"stop": ["x" * 1000] * 1000},
        {"date": "x" * 10**6},
        {"logit_bias": {"x" * 10**6: 1}},
        {"logit_bias": {str(n): 1 for n in range(10**5)}},
        {"x" * 10**6: float("nan")},
        {"x" * 10**6: {"y" * 10**6: "\ud800"}},
        {"x" * 10**6: deep(140)},
    ],
)
def test_no_message_repeats_a_huge_value(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(**options)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(("body", "found"), [({}, "neither"), ({**BODIES[0], **BODIES[1]}, "both")])
def test_there_is_either_a_prompt_or_messages(body: dict[str, Any], found: str) -> None:
    with pytest.raises(InvalidRequest, match=f"either prompt or messages: there is {found}"):
        workers_ai.parse(body)


@pytest.mark.parametrize(("body", "kind"), [([], "an array"), ("Why?", "a string"), (5, "a number")])
def test_a_body_is_an_object(body: Any, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=f"must be an object with prompt or messages, not {kind}"):
        workers_ai.parse(body)


def test_options_that_are_null_are_not_given() -> None:
    nulls = dict.fromkeys(["messages", "temperature", "stream", "stop", "tools", "lora", "timeout", "seed", "other"])
    assert parse(**nulls) == parse()


@pytest.mark.parametrize(("name", "value"), [("tools", []), ("functions", []), ("response_format", {}), ("image", "")])
def test_what_comes_later_and_asks_for_nothing_is_taken(name: str, value: Any) -> None:
    assert parse(**{name: value}) == parse()


def test_options_that_nobody_knows_are_taken_and_logged_by_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llamalet.wire")
    inputs = parse(zebra=1, temperatur="hot", lora="x")
    assert (inputs.lora, inputs.ignored) == ("x", ("temperatur", "zebra"))
    assert caplog.messages == ["ignored options that nobody knows: temperatur, zebra"]


@pytest.mark.parametrize("body", BODIES, ids=["prompt", "messages"])
def test_options_that_we_know_are_not_logged(body: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llamalet.wire")
    workers_ai.parse({**body, "lora": "x", "stop": "y", "tools": [], "timeout": 3, "max_tokens": 5})
    assert caplog.messages == []


def test_keywords_win_over_the_inputs() -> None:
    assert workers_ai.merged({"prompt": "a", "seed": 1}, {"seed": 2}) == {"prompt": "a", "seed": 2}
