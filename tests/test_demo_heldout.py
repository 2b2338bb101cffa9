"""The held-out exam of the demo model is fair: each case can be answered by reading its prompt."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict
from random import Random
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from runtime.prompt import render
from runtime.tools import bare_definition
from scripts.demo import heldout, library
from scripts.demo.heldout_design import DESIGNS, DOCUMENTS, content_words
from scripts.demo.heldout_words import MOODS

if TYPE_CHECKING:
    from scripts.demo.heldout import Case

SEED = 7
DIGEST = "341646997a1b3190c607cd85c50f5823d0b77abcc309a570f40425b1dedde33c"
MAKERS = {"tool": heldout.tools, "no_tool": heldout.no_tool, "json": heldout.documents, "chat": heldout.chats}
MADE = {kind: make(SEED, 300) for kind, make in MAKERS.items()}
ALL = [case for cases in MADE.values() for case in cases]


def request_of(case: Case) -> str:
    return str(case.messages[-1]["content"])


def definitions(case: Case) -> dict[str, Any]:
    return {tool["name"]: tool for tool in map(bare_definition, case.tools)}


def words_of(tool: dict[str, Any]) -> frozenset[str]:
    """All words of a definition, but for those of JSON Schema itself."""
    texts = [tool["name"], tool["description"]]
    for name, parameter in tool["parameters"]["properties"].items():
        texts += [name, parameter["description"], *parameter.get("enum", [])]
    return content_words(" ".join(texts))


def says(text: str, value: object) -> bool:
    """Whether the value stands in the text by itself, not within a longer word or number."""
    return re.search(rf"(?<![\w.-]){re.escape(str(value))}(?!\w|[.-]\w)", text) is not None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_seed_gives_as_many_as_asked_for_and_the_same_again(kind: str) -> None:
    assert len(MADE[kind]) == 300
    assert MAKERS[kind](SEED, 300) == MADE[kind]
    assert MAKERS[kind](SEED + 1, 300) != MADE[kind]
    assert MAKERS[kind](SEED, 20) == MADE[kind][:20]
    assert {case.kind for case in MADE[kind]} == {kind}


def test_the_exam_stays_as_it_was_before_the_first_training_and_is_the_same_everywhere() -> None:
    text = json.dumps([asdict(case) for case in ALL])
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


def test_there_are_at_least_sixty_tools_each_of_its_own_name() -> None:
    assert len({design.name for design in DESIGNS}) == len(DESIGNS) >= 60
    assert len({case.call["name"] for case in MADE["tool"] if case.call}) == len(DESIGNS)
    assert all(1 <= len(design.fields) <= 3 and 1 <= len(design.returns) <= 3 for design in DESIGNS)


def test_the_arguments_stand_in_the_request_and_match_the_parameters() -> None:
    for case in MADE["tool"]:
        assert case.call is not None
        assert 2 <= len(case.tools) <= 4
        parameters = definitions(case)[case.call["name"]]["parameters"]
        closed = {**parameters, "additionalProperties": False}
        jsonschema.Draft202012Validator(closed).validate(case.call["arguments"])
        assert all(says(request_of(case), value) for value in case.call["arguments"].values()), request_of(case)


def test_a_word_of_the_request_points_to_the_right_tool_and_to_no_other() -> None:
    for case in MADE["tool"]:
        assert case.call is not None
        request = request_of(case)
        for value in case.call["arguments"].values():
            request = request.replace(str(value), "")
        right = definitions(case)[case.call["name"]]
        named = content_words(request) & content_words(f"{right['name']} {right['description']}")
        for name in definitions(case).keys() - {right["name"]}:
            named -= content_words(name)
        assert named, request_of(case)


def test_no_value_of_a_request_could_be_given_to_another_parameter_that_is_left_out() -> None:
    """What is optional and not mentioned is not expected: no other text of the request is in quotation marks."""
    for case in MADE["tool"]:
        assert case.call is not None
        quoted = re.findall(r'"(.*?)"', request_of(case))
        assert all(text in case.call["arguments"].values() for text in quoted)
        numbers = [float(text) for text in re.findall(r"(?<![\w:.-])\d+(?:\.\d+)?(?![\w:-])", request_of(case))]
        streets = " ".join(str(value) for value in case.call["arguments"].values())
        assert all(number in case.call["arguments"].values() or says(streets, int(number)) for number in numbers)


def test_what_a_tool_returns_is_flat_and_stated_as_written() -> None:
    for case in MADE["tool"]:
        assert case.result
        assert all(isinstance(value, str | int | float) for value in case.result.values())
        assert case.stated == tuple(json.dumps(value).strip('"') for value in case.result.values())


def test_where_no_tool_fits_none_shares_a_word_with_the_request() -> None:
    for case in MADE["no_tool"]:
        assert 1 <= len(case.tools) <= 3
        assert case.call is None
        for tool in definitions(case).values():
            assert not content_words(request_of(case)) & words_of(tool), request_of(case)


def test_a_document_matches_its_schema_and_its_values_stand_in_the_text() -> None:
    for case in MADE["json"]:
        assert case.schema is not None
        assert isinstance(case.value, dict)
        jsonschema.Draft202012Validator(case.schema).validate(case.value)
        assert list(case.value) == list(case.schema["properties"]) == case.schema["required"]
        assert 2 <= len(case.value) <= 5
        prompt = "\n".join(message["content"] for message in case.messages)
        assert json.dumps(case.schema) in prompt
        text = prompt.replace(json.dumps(case.schema), "")
        for key, value in case.value.items():
            said = MOODS[value] if key == "sentiment" else value if isinstance(value, list) else [value]
            found = [says(text, one) for one in said]
            assert any(found) if key == "sentiment" else all(found), text


def test_the_sort_of_a_chat_says_what_is_expected() -> None:
    for case in MADE["chat"]:
        assert not (case.answer and case.stated)
        if case.answer and ", " not in case.answer:
            assert case.answer in request_of(case)
    fixed = [case for case in MADE["chat"] if case.answer]
    assert 0.3 < len(fixed) / len(MADE["chat"]) < 0.6


@pytest.mark.parametrize("family", ["llama3.1", "llama3.2"])
def test_every_prompt_can_be_rendered_and_is_short(family: str) -> None:
    for case in ALL:
        prompt = render(case.messages, tools=case.tools, family=family, date="05 Jul 2026")
        assert len(prompt) < 2400
        assert "{" not in request_of(case) or case.kind == "json"


def test_a_name_falls_into_its_words() -> None:
    assert content_words("findTrain book_hotel_room") == {"find", "train", "book", "hotel", "room"}
    assert content_words("Could you please see the glasses of the boss?") == {"glasse", "boss"}


def test_nothing_of_the_exam_is_in_the_library_that_is_learnt_from() -> None:
    def plain(name: str) -> str:
        return name.lower().replace("_", "").strip(".")

    names = {plain(name) for tool in library.tools() for name in tool.names}
    phrases = {asked[2:] for tool in library.tools() for asked in tool.asked}
    descriptions = {plain(text) for tool in library.tools() for text in tool.descriptions}
    sentences = {text for family in library.families() for text in family.sentences}
    assert not names & {plain(design.name) for design in DESIGNS}
    assert not phrases & {phrase for design in DESIGNS for _, phrase in design.phrases}
    assert not descriptions & {plain(design.definition["description"]) for design in DESIGNS}
    assert not sentences & {text for _, texts in DOCUMENTS for text in texts}


def test_the_library_can_be_read_and_says_what_it_asks_for() -> None:
    random = Random(SEED)
    for entry in library.tools():
        tool = library.LibraryTool(random, entry)
        _, text, given = tool.request(random)
        assert not set("[]{}") & set(text)
        assert all(says(text, value) for value in given.values()), text
        jsonschema.Draft202012Validator(bare_definition(tool.definition)["parameters"]).validate(given)
