"""A TOML file knows its lines, whatever way it is laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime import tomlfile
from runtime.errors import ConfigError
from runtime.tomlfile import Key, choice, number, positions, several, switch, text, whole

if TYPE_CHECKING:
    from pathlib import Path

WORD = text("a word", r"\w+")


def load(folder: Path, content: str | bytes) -> tomlfile.Table:
    path = folder / "some.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tomlfile.read(path)


@pytest.mark.parametrize(
    ("source", "place", "line"),
    [
        ("a = 1\nb = 2", ("b",), 2),
        ("# a comment\n\n   b = 2", ("b",), 2 + 1),
        ("[t]\nx = 1\n[u]\nx = 2", ("u", "x"), 4),
        ("[[m]]\nid = 1\n[[m]]\n\nid = 2", ("m", 1, "id"), 5),
        ("[[m]]\n[m.q]\nA = {f = 1}\n[[m]]\n[m.q]\nA = {f = 2}", ("m", 1, "q", "A", "f"), 6),
        ("[[m]]\n[[m.n]]\n[[m.n]]\n[[m]]\n[[m.n]]\nx = 1", ("m", 1, "n", 0, "x"), 6),
        ("[ 'a b' . \"c\" ]\nx = 1", ("a b", "c", "x"), 2),
        ("[a.b]\nx = 1", ("a",), 1),
        ("x = 1\n[a.b]\ny = 1", ("a",), 2),
        ("a.b.c = 1\na.b.d = 2", ("a", "b", "d"), 2),
        ('"quoted key" = 1', ("quoted key",), 1),
        ('a = """\nb = 1\n[[c]]\n"""\nb = 2', ("b",), 5),
        ("a = '''\nb = 1\n'''\nb = 2", ("b",), 4),
        ("a = [\n  1, # b = 1\n  2,\n]\nb = 2", ("b",), 5),
        ("a = [\n  1,\n  2,\n]", ("a", 1), 1),
        ("m = [\n {x = 1},\n {x = 2},\n]", ("m", 1, "x"), 1),
        ('a = "#"\nb = "[[m]]"\nc = 1', ("c",), 3),
    ],
)
def test_a_key_is_found_on_its_line(source: str, place: tomlfile.Place, line: int) -> None:
    assert positions(source)[place] == line


def test_a_missing_key_is_reported_on_the_line_of_its_table(tmp_path: Path) -> None:
    tables = load(tmp_path, "[[m]]\nid = 1\n\n[[m]]\nother = 1\n").tables("m")
    assert tables[1].line("id") == 4


def test_the_lines_of_a_file_with_windows_line_ends_are_the_same(tmp_path: Path) -> None:
    assert load(tmp_path, "a = 1\r\n\r\nb = 2\r\n").line("b") == 3


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbfa = 1").values == {"a": 1}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a = 1\nb = \nc = 3", "some.toml line 2: no valid TOML"),
        ("a = 1\nb = [1,\n", "some.toml line 2: no valid TOML"),
        ("a = 1\na = 2", "some.toml line 2: no valid TOML"),
        (b"a = 1\nb = '\xff'", "some.toml line 2: byte 0xff is no UTF-8"),
        ("a = " + "[" * 100_000, "some.toml: its values are nested too deeply"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, content)


def test_a_file_that_is_missing_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        tomlfile.read(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        tomlfile.read(tmp_path)


KEYS = {"name": Key(WORD, required=True), "size": Key(whole(1, 9, "(bytes)"))}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("size = 1", "line 1: the key name is missing; it takes a word."),
        ("name = 'x'\nsize = 10", "line 2: size: 10 is not accepted; it takes a whole number from 1 to 9 (bytes)."),
        ("name = 'x'\n\nsise = 1", "line 3: sise: is not a key known here. Did you mean size?"),
        ("name = 'x'\nzzzz = 1", "line 2: zzzz: is not a key known here. Known are name, size."),
    ],
)
def test_a_bad_key_is_reported_with_line_and_what_is_accepted(tmp_path: Path, content: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, content).read(KEYS)
    assert str(raised.value) == f"{tmp_path / 'some.toml'} {complaint}"


def test_only_the_keys_that_are_there_are_read(tmp_path: Path) -> None:
    assert load(tmp_path, "name = 'x'").read(KEYS) == {"name": "x"}


@pytest.mark.parametrize("content", ["m = 1", "[m]", "m = [1]"])
def test_what_should_be_an_array_of_tables_is_refused_otherwise(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1: m: is not accepted so; each begins with \[\[m\]\]"):
        load(tmp_path, content).tables("m")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (whole(0), True),
        (whole(0), 1.0),
        (whole(0), "1"),
        (whole(0), -1),
        (number(0, 9), float("nan")),
        (number(0, 9), float("inf")),
        (number(0, 9), 10**400),
        (number(0, 9), False),
        (WORD, "two words"),
        (WORD, "wörd"),
        (WORD, 1),
        (choice("a", "b"), "c"),
        (choice("a", "b"), None),
        (several(WORD), "word"),
        (several(WORD), ["word", 1]),
        (several(WORD), {"word": 1}),
        (several(WORD), None),
        (switch(), "true"),
        (switch(), 1),
        (switch(), 0.0),
        (switch(), None),
        (tomlfile.table_of_tables(), {"a": 1}),
        (tomlfile.file_path("a path"), ""),
        (tomlfile.file_path("a path"), "a\0b"),
        (tomlfile.file_path("a path"), 1),
    ],
)
def test_a_kind_refuses_what_it_does_not_accept(kind: tomlfile.Kind[Any], value: object) -> None:
    with pytest.raises(ValueError, match="is not accepted; it takes"):
        kind.read(value)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (whole(0), "12", 12),
        (whole(-1), "-1", -1),
        (number(0, 9), "1.5", 1.5),
        (choice("a"), "A", "a"),
        (WORD, "1", "1"),
        (several(WORD), "a,b", ("a", "b")),
        (several(WORD), " a , b ", ("a", "b")),
        (several(WORD), "a", ("a",)),
        (several(WORD), "a,,b,", ("a", "b")),
        (several(WORD), ",", ()),
        (several(whole(0)), "1, 2", (1, 2)),
        *((switch(), word, True) for word in ("true", "True", "1", "yes", "on", "ON")),
        *((switch(), word, False) for word in ("false", "FALSE", "0", "no", "off")),
    ],
)
def test_a_kind_reads_text_without_types(kind: tomlfile.Kind[Any], written: str, value: object) -> None:
    assert kind.read_text(written) == value


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (several(WORD), "a,b c"),
        (several(whole(0)), "1,x"),
        (switch(), "maybe"),
        (switch(), "2"),
        (switch(), "truee"),
    ],
)
def test_a_kind_refuses_text_that_it_does_not_accept(kind: tomlfile.Kind[Any], written: str) -> None:
    with pytest.raises(ValueError, match="is not accepted; it takes"):
        kind.read_text(written)


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b")])
def test_several_things_become_a_tuple(value: object) -> None:
    assert several(WORD).read(value) == ("a", "b")


def test_a_long_value_is_cut_in_messages() -> None:
    assert len(tomlfile.shown("x" * 10_000)) == 80


def test_a_message_shows_no_control_characters() -> None:
    assert "\x1b" not in tomlfile.shown("\x1b[2J")
