import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.parse import OutputText


def shown(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[str, bool]:
    text = OutputText(stop)
    return "".join(text.feed(piece) for piece in pieces) + text.finish(), text.stopped


def test_a_character_split_across_tokens_comes_whole() -> None:
    text = OutputText()
    assert [text.feed(bytes([byte])) for byte in "🦙".encode()] == ["", "", "", "🦙"]


def test_bytes_that_are_no_utf8_become_the_replacement_character() -> None:
    assert shown([b"a\xff", b"b"]) == ("a\ufffdb", False)


def test_a_character_cut_off_by_the_end_is_left_out() -> None:
    assert shown([b"a", "🦙".encode()[:2]]) == ("a", False)


@pytest.mark.parametrize(
    ("pieces", "stop", "expected"),
    [
        ([b"one END two"], ("END",), ("one ", True)),
        ([b"one E", b"N", b"D two"], ("END",), ("one ", True)),
        ([b"one E", b"N", b"Z two"], ("END",), ("one ENZ two", False)),
        ([b"one EN"], ("END",), ("one EN", False)),
        ([b"aab"], ("ab",), ("a", True)),
        ([b"a", b"a", b"b"], ("ab",), ("a", True)),
        ([b"x second first"], ("first", "second"), ("x ", True)),
        (["né".encode()[:2], "né".encode()[2:]], ("é",), ("n", True)),
        ([b"a", b"END", b"later"], ("END",), ("a", True)),
        ([b"END"], ("END",), ("", True)),
    ],
)
def test_the_text_ends_before_the_first_stop_string(
    pieces: list[bytes], stop: tuple[str, ...], expected: tuple[str, bool]
) -> None:
    assert shown(pieces, stop) == expected


def test_text_is_held_back_only_while_a_stop_string_may_come() -> None:
    text = OutputText(("</end>",))
    assert [text.feed(piece) for piece in (b"a<", b"/e", b"x", b"y")] == ["a", "", "</ex", "y"]


@given(st.text(), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(1, 5))
def test_how_the_text_is_cut_into_tokens_changes_nothing(text: str, stop: list[str], size: int) -> None:
    data = text.encode()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    found = [at for one in stop if (at := text.find(one)) >= 0]
    assert shown(pieces, tuple(stop))[0] == text[: min(found, default=len(text))]
