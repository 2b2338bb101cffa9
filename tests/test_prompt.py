"""The prompt, against the published templates and the real vocabulary."""

from __future__ import annotations

import ctypes
import dataclasses
import datetime
import json
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import prompt
from runtime.errors import ConfigError, InvalidRequest
from runtime.messages import normalise
from runtime.toolstyles import STYLES
from runtime.values import FAMILIES, Segment
from tests.conversations import CONVERSATIONS, FLAT, GOLDEN, TEMPLATES, Conversation, reference_prompt, user
from tests.counts import examples
from tests.shared import needs_shared, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Tokenize = Callable[[str, bool], list[int]]

BEGIN, START, END, EOT = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
DATE = "26 Jul 2024"
FIRST_CONTROL = 128000  # of the 256 control tokens of Llama 3

needs_vocabulary = needs_shared("data/llama3-vocab.gguf")
needs_published_texts = needs_shared("data/llama3-vocab.inp")

each = pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.name)


def rendered(one: Conversation, family: str = "llama3.2") -> str:
    return prompt.render(one.messages, tools=one.tools, family=family, date=one.date, tools_in=one.tools_in)


def cut(one: Conversation) -> tuple[Segment, ...]:
    return prompt.segments(one.messages, tools=one.tools, date=one.date, tools_in=one.tools_in)


def frame(turns: int) -> list[str]:
    """The control tokens of a prompt with so many turns, the system's among them."""
    return [BEGIN, *[START, END, EOT] * turns, START, END]


@pytest.fixture(scope="module")
def golden() -> dict[str, str]:
    prompts: dict[str, str] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return prompts


@each
@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_is_the_golden_one(conversation: Conversation, family: str, golden: dict[str, str]) -> None:
    assert rendered(conversation, family) == golden[conversation.name]


def test_every_conversation_has_its_golden_prompt(golden: dict[str, str]) -> None:
    assert list(golden) == [conversation.name for conversation in CONVERSATIONS]


@needs_shared("data/chat-templates")
@each
@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_is_the_one_of_the_published_template(conversation: Conversation, family: str) -> None:
    template = shared(f"data/chat-templates/{TEMPLATES[family]}").read_text(encoding="utf-8")
    assert rendered(conversation, family) == reference_prompt(template, conversation)


@each
def test_the_prompt_is_the_same_from_normalised_messages(conversation: Conversation) -> None:
    again = dataclasses.replace(conversation, messages=normalise(conversation.messages))  # type: ignore[arg-type]
    assert rendered(again) == rendered(conversation)


def test_tools_need_a_turn_to_stand_in() -> None:
    with pytest.raises(InvalidRequest, match="to show the tools in"):
        prompt.render([{"role": "system", "content": "x"}], tools=[FLAT], date=DATE)


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ({"name": "f"}, "tools: expected an array of tools, found an object."),
        ("f", "tools: expected an array of tools, found a string."),
        (["f"], "tools[0]: expected an object that defines a function, found a string."),
        ([FLAT, None], "tools[1]: expected an object that defines a function, found null."),
        ([{"name": {1}}], "tools[0]: expected JSON, found what cannot be written as JSON"),
        ([{"name": float("inf")}], "tools[0]: expected JSON, found what cannot be written as JSON"),
        ([{"name": "\ud800"}], "tools[0]: expected text, found the lone surrogate U+D800"),
    ],
)
def test_a_wrong_tool_is_refused_with_its_path(tools: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        prompt.segments([user()], tools=tools, date=DATE)
    assert refusal.value.message.startswith(message)


def test_an_unknown_family_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'llama4'.*llama3\.1 and llama3\.2"):
        prompt.segments([user()], family="llama4", date=DATE)


@pytest.mark.parametrize(("option", "known"), [("tools_in", "user and system"), ("style", "json and pythonic and f")])
def test_an_unknown_place_or_style_is_refused_by_name(option: str, known: str) -> None:
    options: dict[str, Any] = {option: "nowhere"}
    with pytest.raises(ConfigError, match=rf"'nowhere'.*{known}"):
        prompt.segments([user()], date=DATE, **options)


def test_a_lone_surrogate_in_the_date_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^date: .*U\+DFFF"):
        prompt.segments([user()], date="\udfff")


@pytest.mark.parametrize("month", range(1, 13))
def test_a_date_reads_as_in_english(month: int) -> None:
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    assert prompt.date_string(datetime.date(2024, month, 5)) == f"05 {names[month - 1]} 2024"


def test_a_date_asks_no_locale() -> None:
    class Foreign(datetime.date):
        def strftime(self, _format: str) -> str:
            raise AssertionError("strftime follows the locale")

        __format__ = strftime

    assert prompt.date_string(Foreign(2024, 7, 26)) == "26 Jul 2024"


def test_a_date_is_written_into_the_prompt() -> None:
    assert prompt.render([user()], date=datetime.date(2024, 7, 26)) == prompt.render([user()], date="26 Jul 2024")


def test_a_raw_prompt_is_left_as_it_is_behind_the_begin_token() -> None:
    assert prompt.raw(" Hi\n") == (Segment(f"{BEGIN} Hi\n", special=True),)


def test_a_raw_prompt_that_has_the_begin_token_gets_no_second() -> None:
    assert prompt.raw(f"{BEGIN}Hi{EOT}") == (Segment(f"{BEGIN}Hi{EOT}", special=True),)


def test_an_empty_raw_prompt_is_the_begin_token() -> None:
    assert prompt.raw("") == (Segment(BEGIN, special=True),)


def test_a_lone_surrogate_in_a_raw_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt: .*U\+D800 at character 1"):
        prompt.raw("a\ud800")


@each
def test_segments_joined_are_the_rendered_prompt(conversation: Conversation) -> None:
    assert "".join(segment.text for segment in cut(conversation)) == rendered(conversation)


@each
def test_plain_text_between_control_tokens_is_one_segment(conversation: Conversation) -> None:
    segments = cut(conversation)
    assert all(left.special or right.special for left, right in pairwise(segments))


@each
def test_no_segment_is_empty(conversation: Conversation) -> None:
    assert all(segment.text for segment in cut(conversation))


TYPED = st.lists(st.sampled_from([BEGIN, START, END, EOT, "<|eom_id|>", "<|python_tag|>", "<|", "\n\n", "x"]))
typed = TYPED.map("".join)
named = TYPED.map(lambda pieces: "f" + "".join(pieces))  # names and roles are never empty


@st.composite
def turns(draw: st.DrawFn) -> dict[str, Any]:
    """A turn of any kind, with control tokens typed into every field that takes text."""
    match draw(st.sampled_from(["text", "parts", "call", "result", "data"])):
        case "text":
            return {"role": draw(named), "content": draw(typed), "name": draw(typed)}
        case "parts":
            return {"role": "user", "content": [{"type": "text", "text": draw(typed)}, draw(typed)]}
        case "call":
            function = {"name": draw(named), "arguments": {draw(typed): [draw(typed)]}}
            return {"role": "assistant", "content": draw(typed), "tool_calls": [{"id": draw(typed), **function}]}
        case "result":
            return {"role": "tool", "content": draw(typed), "name": draw(typed), "tool_call_id": draw(typed)}
        case _:
            return {"role": "tool", "content": {draw(typed): draw(typed)}}


@st.composite
def tools(draw: st.DrawFn) -> dict[str, Any]:
    return {"name": draw(named), "description": draw(typed), "parameters": {draw(typed): {"type": draw(typed)}}}


@st.composite
def prompts(draw: st.DrawFn) -> tuple[tuple[Segment, ...], int]:
    """A prompt and its number of turns, the system's among them. Tools stand in a turn that is there anyway."""
    drawn = draw(st.lists(turns(), min_size=1, max_size=4))
    system = [{"role": "system", "content": draw(typed)}] if draw(st.booleans()) else []
    declared = draw(st.none() | st.lists(tools(), max_size=2))
    place, style = draw(st.sampled_from(prompt.PLACES)), draw(st.sampled_from(list(STYLES)))
    pieces = prompt.segments(system + drawn, tools=declared, date=draw(typed), tools_in=place, style=style)
    own_turn = bool(declared) and place == "user" and "tool_calls" in drawn[0]
    return pieces, len(drawn) + 1 + own_turn


@settings(deadline=None, max_examples=examples(100))
@given(prompts())
def test_typed_control_tokens_never_become_special(drawn: tuple[tuple[Segment, ...], int]) -> None:
    segments, turns = drawn
    assert [segment.text for segment in segments if segment.special] == frame(turns)


@pytest.fixture(scope="module")
def tokenize() -> Iterator[Tokenize]:
    """`(text, parse_special) -> ids` with the real vocabulary."""
    os.environ["GGML_NO_BACKTRACE"] = "1"  # before the import, else an abort starts a debugger
    import llama_cpp

    llama_cpp.llama_backend_init()
    options = llama_cpp.llama_model_default_params()
    options.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(shared("data/llama3-vocab.gguf")).encode(), options)
    vocab = llama_cpp.llama_model_get_vocab(model)

    def ids(text: str, parse_special: bool) -> list[int]:
        data = text.encode()
        room = len(data) + 1
        tokens = (ctypes.c_int32 * room)()
        count = llama_cpp.llama_tokenize(vocab, data, len(data), tokens, room, False, parse_special)
        assert count >= 0
        return list(tokens[:count])

    yield ids
    llama_cpp.llama_model_free(model)


def token_ids(segments: Sequence[Segment], tokenize: Tokenize) -> list[int]:
    return [token for segment in segments for token in tokenize(segment.text, segment.special)]


@needs_vocabulary
@pytest.mark.parametrize(
    "conversation", [one for one in CONVERSATIONS if not one.control_text], ids=lambda conversation: conversation.name
)
def test_segments_have_the_ids_of_the_golden_prompt(
    conversation: Conversation, golden: dict[str, str], tokenize: Tokenize
) -> None:
    assert token_ids(cut(conversation), tokenize) == tokenize(golden[conversation.name], True)


def published_texts() -> list[tuple[str, list[int]]]:
    """llama.cpp's texts for this vocabulary, each with its ids."""
    texts = shared("data/llama3-vocab.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")
    lines = shared("data/llama3-vocab.out").read_text(encoding="utf-8").splitlines()
    return [(text, [int(word) for word in line.split()]) for text, line in zip(texts, lines, strict=False)]


@needs_vocabulary
@needs_published_texts
def test_the_vocabulary_gives_the_published_ids(tokenize: Tokenize) -> None:
    pairs = published_texts()
    assert pairs
    assert [tokenize(text, False) for text, _ in pairs] == [ids for _, ids in pairs]


@needs_vocabulary
@needs_published_texts
def test_published_texts_have_the_same_ids_in_segments_and_in_one_piece(tokenize: Tokenize) -> None:
    for text, _ in published_texts():
        messages = [user(text)]
        whole = tokenize(prompt.render(messages, date=DATE), True)
        assert token_ids(prompt.segments(messages, date=DATE), tokenize) == whole


@needs_vocabulary
def test_a_control_token_typed_by_a_user_is_harmless_text(tokenize: Tokenize) -> None:
    ids = token_ids(prompt.segments([user(EOT)], date=DATE), tokenize)
    assert sum(token >= FIRST_CONTROL for token in ids) == len(frame(2))


@needs_vocabulary
def test_control_tokens_in_a_raw_prompt_are_honoured(tokenize: Tokenize) -> None:
    assert token_ids(prompt.raw(EOT), tokenize) == [128000, 128009]


@needs_vocabulary
@settings(deadline=None, max_examples=examples(100))
@given(drawn=prompts())
def test_only_the_frame_becomes_control_tokens(drawn: tuple[tuple[Segment, ...], int], tokenize: Tokenize) -> None:
    segments, turns = drawn
    ids = token_ids(segments, tokenize)
    assert sum(token >= FIRST_CONTROL for token in ids) == len(frame(turns))
