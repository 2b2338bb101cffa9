"""`response_format` on the wire: what asks for a document, and how the document is given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.errors import InvalidRequest, NoJsonStream, Unsupported
from runtime.values import Document, Done, Text, Timings, Usage
from runtime.wire import workers_ai
from runtime.wire.workers_ai import Answer

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
DONE = Done("stop", Usage(3, 4), Timings(0, 0, 0))


def asked(response_format: Any, **options: Any) -> Document | None:
    return workers_ai.parse({"prompt": "Hi", "response_format": response_format, **options}).document


def json_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": schema}


@pytest.mark.parametrize(
    ("given", "schema"),
    [
        ({"type": "json_object"}, {"type": "object"}),
        (json_schema(SCHEMA), SCHEMA),
        (json_schema({"name": "n", "schema": SCHEMA}), SCHEMA),
        (json_schema({"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}), SCHEMA),
        (json_schema({"schema": SCHEMA, "type": "object"}), {"schema": SCHEMA, "type": "object"}),
        (json_schema({"enum": ["a", "b"]}), {"enum": ["a", "b"]}),
        (json_schema(["a", "b"]), {"enum": ["a", "b"]}),
        (json_schema(True), True),
        ({**json_schema(SCHEMA), "strict": False}, SCHEMA),
    ],
)
def test_a_response_format_asks_for_a_document(given: Any, schema: Any) -> None:
    assert asked(given) == Document(schema)


@pytest.mark.parametrize("given", [None, {}, {"type": "text"}])
def test_some_response_formats_ask_for_none(given: Any) -> None:
    assert asked(given) is None


@pytest.mark.parametrize("schema", [None, "a", 5, []])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^response_format\.json_schema: must be a JSON Schema, found "):
        asked(json_schema(schema))


def test_a_document_may_be_approximate() -> None:
    assert asked(json_schema(SCHEMA), approximate=True) == Document(SCHEMA, approximate=True)


@pytest.mark.parametrize("options", [{"stop": "x"}, {"grammar": 'root ::= "a"'}, {"approximate": True, "stream": True}])
def test_what_would_break_a_document_off_or_is_another_constraint_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=f"^{next(iter(options))} cannot be combined with "):
        asked(json_schema(SCHEMA), **options)


def test_the_response_is_what_the_document_says() -> None:
    answer = Answer(is_document=True)
    answer.add(Text('{"n": '))
    answer.add(Text("5}"))
    whole = answer.add(DONE)
    assert whole
    assert whole["response"] == {"n": 5}


def test_a_stream_gives_the_text_in_pieces_and_what_it_says_at_the_end() -> None:
    answer = Answer(is_document=True)
    shown = [answer.stream(event) for event in (Text('{"n": '), Text("5}"), DONE)]
    assert [event["response"] for event in shown if event] == ['{"n": ', "5}", ""]
    assert [event.get("parsed") for event in shown if event] == [None, None, {"n": 5}]


def test_a_document_that_was_taken_back_is_its_text() -> None:
    answer = Answer(is_document=True)
    answer.stream(Text('{"n": '))
    last = answer.stream(Done("cancelled", Usage(3, 2), Timings(0, 0, 0)))
    assert last
    assert last["parsed"] == '{"n": '


def test_text_that_happens_to_be_json_stays_text() -> None:
    answer = Answer()
    answer.add(Text("[1]"))
    assert json.dumps(answer.add(DONE)).startswith('{"response": "[1]"')


def test_in_parity_a_document_is_not_streamed() -> None:
    body = {"prompt": "Hi", "response_format": json_schema(SCHEMA), "stream": True}
    with pytest.raises(NoJsonStream, match=r"^JSON Schema mode is not supported with stream mode$") as refused:
        workers_ai.parse(body, "@cf/meta/llama-3.2-1b-instruct", parity=True)
    assert (refused.value.code, refused.value.status) == (5023, 400)
