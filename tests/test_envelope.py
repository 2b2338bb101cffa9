"""What stands around results, errors and events, and what a body's JSON may be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from runtime import errors
from runtime.errors import GatewayError, InvalidRequest, LlamaletError, NoBody
from runtime.wire import envelope

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = "0b0e7a60-0000-4000-8000-000000000001"


def kinds(root: type[LlamaletError]) -> list[type[LlamaletError]]:
    return [root, *(each for child in root.__subclasses__() for each in kinds(child))]


GATEWAY = kinds(GatewayError)
AI = [kind for kind in kinds(LlamaletError) if kind not in GATEWAY]


def test_a_success_has_the_four_keys_in_the_services_order() -> None:
    assert list(envelope.success({"response": "Hi"}).items()) == [
        ("result", {"response": "Hi"}),
        ("success", True),
        ("errors", []),
        ("messages", []),
    ]


def test_a_success_names_what_was_ignored() -> None:
    (message,) = envelope.success({}, ("foo", "bar"))["messages"]
    assert message == {"code": 1000, "message": "Ignored, since nobody knows them: foo, bar."}


def test_a_success_names_what_is_deprecated() -> None:
    said = envelope.success({}, ("foo",), ("functions",))["messages"]
    assert said[1:] == [{"code": 1001, "message": "Deprecated: functions."}]


@pytest.mark.parametrize("kind", AI, ids=lambda kind: kind.__name__)
def test_a_failure_of_workers_ai_has_an_empty_result_and_its_keys_in_the_services_order(
    kind: type[LlamaletError],
) -> None:
    body = envelope.failure(kind("wrong"), ID, parity=True)
    assert list(body) == ["errors", "success", "result", "messages"]
    assert (body["success"], body["result"], body["messages"]) == (False, {}, [])
    assert [list(error) for error in body["errors"]] == [["message", "code"]]
    assert body["errors"][0]["code"] == kind.code


@pytest.mark.parametrize("kind", AI, ids=lambda kind: kind.__name__)
def test_a_failure_of_workers_ai_begins_with_ai_error_and_ends_with_the_requests_id(kind: type[LlamaletError]) -> None:
    said = envelope.failure(kind("wrong"), ID)["errors"][0]["message"]
    assert said.startswith("AiError: ")
    assert said.endswith(f"wrong ({ID})")


@pytest.mark.parametrize("kind", GATEWAY, ids=lambda kind: kind.__name__)
def test_a_failure_of_the_gateway_has_a_null_result_and_its_keys_in_the_services_order(
    kind: type[LlamaletError],
) -> None:
    assert list(envelope.failure(kind("wrong"), ID, parity=True).items()) == [
        ("result", None),
        ("success", False),
        ("errors", [{"code": kind.code, "message": "wrong"}]),
        ("messages", []),
    ]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.InvalidRequest("x"), f"AiError: Bad input: Error: x ({ID})"),
        (errors.Unsupported("x"), f"AiError: Bad input: Error: x ({ID})"),
        (errors.UnknownModel("x"), f"AiError: No such model: x ({ID})"),
        (errors.UnknownAdapter("x"), f"AiError: x ({ID})"),
        (errors.ContextTooLong("x"), f"AiError: x ({ID})"),
        (errors.NoBody("x"), f"AiError: x ({ID})"),
        (errors.TooLarge("x"), f"AiError: Request is too large: x ({ID})"),
        (errors.QueueFull("x"), f"AiError: Capacity temporarily exceeded, please try again. x ({ID})"),
        (errors.EngineError("x"), f"AiError: x ({ID})"),
    ],
)
def test_the_code_says_what_stands_before_the_message(error: LlamaletError, said: str) -> None:
    assert envelope.failure(error, ID)["errors"][0]["message"] == said


def test_what_is_behind_a_failure_of_the_gateway_is_a_chain() -> None:
    error = errors.BadHeader("Invalid request headers", chain=(6111, "Invalid format"))
    assert envelope.failure(error, ID, parity=True)["errors"] == [
        {
            "code": 6003,
            "message": "Invalid request headers",
            "error_chain": [{"code": 6111, "message": "Invalid format"}],
        }
    ]


@pytest.mark.parametrize(
    ("kind", "said"), [(errors.InvalidRequest, "wrong Do so."), (errors.NoRoute, "wrong (Do so.)")]
)
def test_the_hint_follows_the_message(kind: type[LlamaletError], said: str) -> None:
    assert said in envelope.failure(kind("wrong", "Do so."), ID)["errors"][0]["message"]


@pytest.mark.parametrize("kind", [errors.InvalidRequest, errors.NoRoute])
def test_in_parity_there_is_no_hint(kind: type[LlamaletError]) -> None:
    assert "Do so." not in json.dumps(envelope.failure(kind("wrong", "Do so."), ID, parity=True))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (errors.InvalidRequest, "invalid_request_error"),
        (errors.WrongToken, "invalid_request_error"),
        (errors.QueueFull, "invalid_request_error"),
        (errors.EngineError, "server_error"),
        (errors.ModelMissing, "server_error"),
    ],
)
def test_openais_clients_find_the_error_where_they_look(kind: type[LlamaletError], name: str) -> None:
    body = envelope.failure(kind("wrong", "Do so."), ID)
    said = body["errors"][0]["message"]
    assert body["error"] == {"message": said, "type": name, "param": None, "code": str(kind.code)}


@pytest.mark.parametrize("kind", [errors.InvalidRequest, errors.NoRoute])
def test_in_parity_there_is_nothing_for_openais_clients(kind: type[LlamaletError]) -> None:
    assert "error" not in envelope.failure(kind("wrong"), ID, parity=True)


def test_json_is_without_spaces_and_in_utf_8() -> None:
    assert envelope.encode({"a": [1, "ü🦙"], "b": None}) == '{"a":[1,"ü🦙"],"b":null}'.encode()


def test_half_a_character_is_written_as_a_question_mark() -> None:
    assert json.loads(envelope.encode("a\ud83eb")) == "a?b"


# -- events ----------------------------------------------------------------------------------------------------------

TEXTS = [
    "", "\n", "\n\n", "a\n\nb", "\r", "a\r\n\r\nb", "data: x", "\n\ndata: [DONE]\n\n", ": x", "event: x\nid: 1",
    "\u2028", "a\u2029b", "\u0085", "\x0b\x0c\x1c\x1d\x1e", "🦙", "👩\u200d👩\u200d👧", "\0", "\ufeff", '"\\',
]  # fmt: skip


class _Bytes(httpx.SyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_is_one_line_and_an_empty_one(text: str) -> None:
    assert envelope.line({"response": text}).splitlines() == [
        b"data: " + envelope.line({"response": text})[6:-2],
        b"",
    ]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_any_text_comes_back_from_its_event(text: str) -> None:
    written = envelope.line({"response": text})
    assert json.loads(written.removeprefix(b"data: ")) == {"response": text}


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_reader_that_takes_every_line_end_of_unicode_for_one_reads_the_same(text: str) -> None:
    response = httpx.Response(200, stream=_Bytes(envelope.line({"response": text}) + envelope.END))
    first, _, end, _ = response.iter_lines()
    assert (json.loads(first.removeprefix("data: ")), end) == ({"response": text}, "data: [DONE]")


def test_the_end_of_a_stream_is_an_event() -> None:
    assert envelope.END == b"data: [DONE]\n\n"


# -- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"prompt": "Hi"}', {"prompt": "Hi"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b' \r\n\t{"a": 1}\n', {"a": 1}),
        ('{"a": "ü🦙"}'.encode(), {"a": "ü🦙"}),
        (b'{"a": "\\ud83e\\udd99"}', {"a": "🦙"}),
        (b'{"a": {"a": [{"a": 1}, {"a": 2}]}}', {"a": {"a": [{"a": 1}, {"a": 2}]}}),
        (b'{"a": 1e999}', {"a": float("inf")}),  # not named in the text: the inputs are checked for it
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),  # likewise
        (b"[1]", [1]),
        (b"null", None),
    ],
    ids=repr,
)
def test_json_is_read(body: bytes, value: Any) -> None:
    assert envelope.decode(body) == value


@pytest.mark.parametrize("body", [b"", b" ", b"\r\n\t "])
def test_an_empty_body_is_none(body: bytes) -> None:
    with pytest.raises(
        NoBody, match=r"^Request is missing headers or body: body\. Send the inputs as a JSON object\.$"
    ):
        envelope.decode(body)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"a": "\xff"}', "The body is not UTF-8: byte 0xff at 7. Send JSON in UTF-8."),
        (b"\xfe\xff\x00{", "The body is not UTF-8: byte 0xfe at 0."),
        (b'{"a": "\xed\xa0\x80"}', "The body is not UTF-8: byte 0xed at 7."),
        (b'\xef\xbb\xbf{"a": "\xff"}', "The body is not UTF-8: byte 0xff at 10."),
        (b"\xef\xbb\xbf", "The body is not JSON: Expecting value, line 1, column 1."),
        (b"{", "The body is not JSON: Expecting property name enclosed in double quotes, line 1, column 2."),
        (b'{"a": 1,\n "b": }', "The body is not JSON: Expecting value, line 2, column 7."),
        (b'{"a": 1} x', "The body is not JSON: Extra data, line 1, column 10."),
        (b'{"a": 01}', "The body is not JSON: Expecting ',' delimiter, line 1, column 8."),
        (b'{"a": "\n"}', "The body is not JSON: Invalid control character at, line 1, column 8."),
        (b"prompt=Hi", "The body is not JSON: Expecting value, line 1, column 1."),
        (b'{"a": NaN}', "The body is not JSON: NaN is no number there."),
        (b'{"a": [Infinity]}', "The body is not JSON: Infinity is no number there."),
        (b"-Infinity", "The body is not JSON: -Infinity is no number there."),
        (b'{"a": 1, "a": 1}', "The body has the key 'a' twice in one object. Send it once."),
        (b'{"b": [{"c": {"d": 1, "e": 2, "d": 3}}]}', "The body has the key 'd' twice in one object."),
        (b'{"a": 1, "\\u0061": 1}', "The body has the key 'a' twice in one object."),
        (b'{"\\ud800": 1, "\\ud800": 1}', r"The body has the key '\ud800' twice in one object."),
        (b"[" * 100_000, "The body is nested too deeply."),
        (b"[" * 100_000 + b"]" * 100_000, "The body is nested too deeply."),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "The body is nested too deeply."),
        (b"9" * 5000, "The body has a whole number of more than 4300 digits."),
        (b'{"seed": -%s}' % (b"9" * 5000), "The body has a whole number of more than 4300 digits."),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_is_no_json_is_refused_with_the_place(body: bytes, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        envelope.decode(body)
    assert str(raised.value).startswith(complaint)


def test_a_long_key_is_cut_in_the_message() -> None:
    key = "k" * 10_000
    with pytest.raises(InvalidRequest) as raised:
        envelope.decode(f'{{"{key}": 1, "{key}": 2}}'.encode())
    assert len(str(raised.value)) < 200


def test_a_message_about_a_body_shows_nothing_of_its_text() -> None:
    with pytest.raises(InvalidRequest) as raised:
        envelope.decode(b'{"prompt": "a secret of mine", }')
    assert "secret" not in str(raised.value)
