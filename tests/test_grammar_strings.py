"""Strings under a schema: lengths, patterns, formats, values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import UnsupportedSchema
from runtime.grammar import compile_schema
from runtime.grammar.pattern import language

if TYPE_CHECKING:
    from tests.grammars import Check, Judge


def test_lengths_count_characters(check: Check) -> None:
    schema = {"type": "string", "minLength": 2, "maxLength": 3}
    for value, accept in [("a", False), ("ab", True), ("😀é", True), ("abc", True), ("abcd", False), ('"\\', True)]:
        check(schema, value, accept)


def test_an_escape_counts_as_what_it_decodes_to(judge: Judge) -> None:
    grammar = compile_schema({"type": "string", "minLength": 1, "maxLength": 1})
    for text, accept in [(r'"\u00e9"', True), (r'"\ud83d\ude00"', True), (r'"\n"', True), (r'"\u0041b"', False)]:
        assert judge.accepts(grammar, text) is accept


def test_a_string_holds_neither_control_characters_nor_half_of_a_pair(judge: Judge) -> None:
    grammar = compile_schema({"type": "string"})
    for text, accept in [
        ('"\n"', False),
        ('"\t"', False),
        (r'"\ud83d"', False),
        (r'"\ude00"', False),
        ('"\x7f"', True),
    ]:
        assert judge.accepts(grammar, text) is accept


@pytest.mark.parametrize("longest", [1000, 1001, 2000, 2500, 32767, 1_000_000_000])
def test_any_length_is_counted_exactly(judge: Judge, longest: int) -> None:
    grammar = compile_schema({"type": "string", "maxLength": longest})
    assert len(grammar) < 2000
    if longest <= 3000:
        assert judge.accepts(grammar, f'"{"a" * longest}"')
        assert not judge.accepts(grammar, f'"{"a" * (longest + 1)}"')
    else:
        assert judge.accepts(grammar, '"abc"')


def test_a_long_minimum_is_counted_exactly(judge: Judge) -> None:
    grammar = compile_schema({"type": "string", "minLength": 1500})
    assert judge.accepts(grammar, f'"{"a" * 1500}"')
    assert not judge.accepts(grammar, f'"{"a" * 1499}"')


def test_a_pattern_matches_anywhere_unless_it_is_anchored(check: Check) -> None:
    check({"type": "string", "pattern": "b+"}, "abbc", True)
    check({"type": "string", "pattern": "b+"}, "ac", False)
    check({"type": "string", "pattern": "^b"}, "ab", False)
    check({"type": "string", "pattern": "b$"}, "bc", False)
    check({"type": "string", "pattern": "^zip|tar$"}, "zipper", True)
    check({"type": "string", "pattern": "^zip|tar$"}, "tars", False)


PATTERNS = [
    ("^[a-c]{2,3}$", ["ab", "abc"], ["a", "abcd", "ad"]),
    ("^(foo|bar)+?$", ["foo", "barfoo"], ["", "fo"]),
    (r"^\d{3}-\w+\s\S$", ["123-ab_9 x"], ["12-ab x", "123-é x"]),
    (r"^\D\W$", ["a!"], ["1!", "aa"]),
    (r"^[\w.-]+$", ["a.b-c"], ["a b"]),
    (r"^[^\d\s]$", ["a", "é"], ["1", " "]),
    (r"^\u0041\x42\cJ\0$", ["AB\n\0"], ["AB"]),
    (r"^\ud83d\ude00$", ["😀"], ["x"]),
    (r"^\u{1F600}$", ["😀"], ["x"]),
    (r"^\p{Lu}\P{Lu}$", ["Éa"], ["éa", "ÉA"]),
    (r"^(?:a|b)(?<name>c)$", ["ac", "bc"], ["c"]),
    (r"^a{2,}$", ["aa", "aaaaaa"], ["a"]),
    (r"^\/\.\-\$$", ["/.-$"], ["/.-"]),
    (r"^.$", ["a", "\t", "😀"], ["\n", "ab"]),
    (r"^[\b]$", ["\b"], ["b"]),
    ("", ["", "anything"], []),
    ("^$", [""], ["a"]),
]


@pytest.mark.parametrize(("pattern", "good", "bad"), PATTERNS)
def test_a_pattern_is_that_of_ecma_262(check: Check, pattern: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        check({"type": "string", "pattern": pattern}, text, True)
    for text in bad:
        check({"type": "string", "pattern": pattern}, text, False)


REFUSED = [
    *("(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"\bword\b", r"\Bx", "(?i)a"),
    *(r"(a)\1", r"\A", r"\p{Script=Greek}", "[z-a]", "a{2,1}", "a{,2}"),
    *("(a", "a)", "[a", "a**", "*a", "(" * 70 + ")" * 70),
]


@pytest.mark.parametrize("pattern", REFUSED)
def test_a_pattern_that_no_grammar_follows_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedSchema, match="pattern") as caught:
        compile_schema({"properties": {"a": {"pattern": pattern}}})
    assert (caught.value.pointer, caught.value.keyword) == ("/properties/a", "pattern")


def test_a_pattern_of_too_many_states_is_refused() -> None:
    with pytest.raises(UnsupportedSchema, match="too many states"):
        compile_schema({"pattern": "^(a|b)*a(a|b){20}$"})


def test_a_pattern_holds_together_with_a_length_and_a_format(check: Check) -> None:
    schema = {"type": "string", "pattern": "^[a-z-]+$", "minLength": 3, "maxLength": 5, "format": "hostname"}
    for value, accept in [("ab", False), ("abc", True), ("a-b-c", True), ("abcdef", False), ("ab-", False)]:
        check(schema, value, accept)


def test_two_patterns_hold_both(check: Check) -> None:
    schema = {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "z$"}]}
    for value, accept in [("az", True), ("abcz", True), ("a", False), ("z", False)]:
        check(schema, value, accept)


@given(st.from_regex(re.compile(r"[ab.*+?|()\[\]^$-]{1,10}"), fullmatch=True), st.lists(st.text("ab-", max_size=6)))
@settings(max_examples=300, deadline=None)
def test_a_pattern_matches_what_python_s_engine_matches(pattern: str, texts: list[str]) -> None:
    if re.search(r"\(\?|[*+?]\+|\[\]|\[\^\]|\[\[|\[.*\[|--|\|\|", pattern):
        return  # the two languages differ there
    try:
        theirs = re.compile(pattern)
        ours = language(pattern)
    except (ValueError, re.error):
        return
    for text in ["", *texts]:
        bound = ours.low <= len(text) and (ours.high is None or len(text) <= ours.high)
        assert (bound and bool(ours.language.label(text))) is bool(theirs.search(text)), (pattern, text)


FORMATS = {
    "date": (
        ["2024-02-29", "2000-02-29", "2023-12-31"],
        ["2023-02-29", "1900-02-29", "2023-04-31", "0000-01-01", "23-1-1"],
    ),
    "time": (["10:05:08Z", "23:59:59.123+05:30"], ["10:05:08", "24:00:00Z", "10:5:08Z", "23:59:60Z"]),
    "date-time": (
        ["2024-05-01T10:00:00Z", "2024-05-01t10:00:00.5-08:00"],
        ["2024-05-01 10:00:00Z", "2024-05-01T10:00:00"],
    ),
    "duration": (["P1Y2M3DT4H5M6S", "P2W", "PT1M"], ["P", "PT", "P1Y3D", "1D", "P1W1D"]),
    "email": (["joe.bloggs+x@example.com", "a@localhost"], ["joe", ".joe@example.com", "a..b@example.com", "a@-b.com"]),
    "hostname": (["example.com", "a-b", "x" * 63], ["-a", "a-", "a..b", "x" * 64, "a_b"]),
    "ipv4": (["0.0.0.0", "255.249.1.10"], ["256.0.0.1", "1.2.3", "01.2.3.4"]),
    "ipv6": (
        ["::", "::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8"],
        ["1:2:3", ":::", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::"],
    ),
    "uri": (["http://a.b/c?d#e", "urn:x:y", "http://[::1]:80/"], ["a/b", "//x", "http://a b", "http://[::1", ":x"]),
    "uri-reference": (["/a", "a/b", "#x", "", "http://a"], ["\\a", "a b"]),
    "iri": (["http://ü.example/é"], ["/é"]),
    "iri-reference": (["/é", "é"], ["\\é"]),
    "uri-template": (["http://a/{b}{?c,d*}", "x"], ["{", "{a", "}"]),
    "uuid": (
        ["123e4567-E89b-12d3-a456-426614174000"],
        ["123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400"],
    ),
    "json-pointer": (["", "/a~0~1/b", "/"], ["a", "/~2", "/~"]),
    "relative-json-pointer": (["0", "1/a", "12#"], ["/a", "01", "-1"]),
    "regex": (["^[a-z]+(b|c)*$", r"\d{2}"], ["(", "[a", "a**"]),
    "idn-email": (["ü@example.com"], ["ü"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_that_of_its_rfc(check: Check, name: str) -> None:
    good, bad = FORMATS[name]
    for text in good:
        check({"type": "string", "format": name}, text, True)
    for text in bad:
        check({"type": "string", "format": name}, text, False)


def test_a_format_that_no_standard_defines_is_an_annotation(check: Check) -> None:
    check({"type": "string", "format": "color-of-the-sky"}, "anything", True)


def test_a_format_that_only_tables_could_check_is_refused() -> None:
    with pytest.raises(UnsupportedSchema, match="idn-hostname"):
        compile_schema({"format": "idn-hostname"})


def test_an_enum_is_each_of_its_values_and_no_other(check: Check) -> None:
    values = ["", "a", "ab", "abc", "é", '"', "\n", 1, 12, 1.5, None, True, {"a": [1]}, [], [1, "x"]]
    for value in values:
        check({"enum": values}, value, True)
    for value in ["b", "abcd", 2, 123, False, {}, {"a": [2]}, [1], 0]:
        check({"enum": values}, value, False)


def test_a_number_in_an_enum_is_itself_however_it_is_written(judge: Judge) -> None:
    grammar = compile_schema({"enum": [1.0, 2]})
    for text, accept in [("1", True), ("1.0", True), ("2", True), ("2.0", True), ("10", False)]:
        assert judge.accepts(grammar, text) is accept


def test_two_thousand_values_become_a_small_trie(judge: Judge) -> None:
    grammar = compile_schema({"enum": [f"value-{at}" for at in range(2000)]})
    assert len(grammar) < 30_000
    assert judge.accepts(grammar, '"value-1999"')
    assert not judge.accepts(grammar, '"value-2000"')


def test_a_lone_surrogate_in_an_enum_is_written_as_its_escape(judge: Judge) -> None:
    assert judge.accepts(compile_schema({"enum": ["\ud800"]}), r'"\ud800"')
