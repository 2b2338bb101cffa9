"""`llamalet schema`: the grammar on stdout, what becomes of the keywords on stderr, and documents judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runtime.grammar import compile_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.commands import Shell

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "A person",
    "properties": {"name": {"type": "string", "minlength": 3}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, Any], str]:
    """Write a value into a file of that name, and give its path."""

    def write(name: str, value: Any) -> str:
        (tmp_path / name).write_text(json.dumps(value), "utf-8")
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(("flags", "closed"), [([], True), (["--open"], False)])
def test_the_grammar_goes_to_stdout(
    shell: Shell, written: Callable[[str, Any], str], flags: list[str], closed: bool
) -> None:
    result = shell("schema", written("person.json", SCHEMA), *flags)
    assert (result.exit_code, result.stdout) == (0, compile_schema(SCHEMA, closed=closed))


def test_what_becomes_of_each_keyword_goes_to_stderr(shell: Shell, written: Callable[[str, Any], str]) -> None:
    enforced, annotations, unknown = shell("schema", written("person.json", SCHEMA)).stderr.strip().split("\n\n")
    assert "  minimum                #/properties/age" in enforced
    assert "  title                  #" in annotations
    assert "slips of the pen?:\n  minlength              #/properties/name" in unknown


def test_standard_input_is_a_dash(shell: Shell) -> None:
    assert shell("schema", "-", stdin=json.dumps(SCHEMA)).stdout == compile_schema(SCHEMA, closed=True)


def test_json_has_all_of_it(shell: Shell, written: Callable[[str, Any], str]) -> None:
    told = json.loads(shell("schema", written("person.json", SCHEMA), "--json").stdout)
    assert told["grammar"] == compile_schema(SCHEMA, closed=True)
    assert told["unknown"] == ["#/properties/name/minlength"]
    assert "#/properties/age/minimum" in told["enforced"]
    assert told["annotations"] == ["#/title"]


def test_a_refused_schema_is_told_with_place_and_keyword(shell: Shell, written: Callable[[str, Any], str]) -> None:
    result = shell("schema", written("s.json", {"items": {"unevaluatedProperties": False}}))
    assert (result.exit_code, result.stdout) == (65, "")
    assert result.stderr.startswith("llamalet: /items, unevaluatedProperties:")


@pytest.mark.parametrize(
    ("instance", "verdict", "code"), [({"name": "Al"}, "valid", 0), ({"name": "Al", "age": -1}, "not valid", 1)]
)
def test_a_document_is_judged(
    shell: Shell, written: Callable[[str, Any], str], instance: Any, verdict: str, code: int
) -> None:
    document = written("al.json", instance)
    result = shell("schema", written("person.json", SCHEMA), "--check", document)
    assert (result.exit_code, result.stdout) == (code, f"{document}: {verdict}\n")


def test_several_documents_are_judged_as_json(shell: Shell, written: Callable[[str, Any], str]) -> None:
    good, bad = written("good.json", {"name": "Al"}), written("bad.json", 5)
    result = shell("schema", written("person.json", SCHEMA), "--check", good, "--check", bad, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {good: True, bad: False})


def test_a_file_that_is_no_json_is_told_with_the_place(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"type":', "utf-8")
    result = shell("schema", str(tmp_path / "s.json"))
    assert (result.exit_code, "s.json: it is not JSON: Expecting value, line 1, column 9." in result.stderr) == (
        65,
        True,
    )


def test_a_file_that_is_not_there_is_told(shell: Shell, tmp_path: Path) -> None:
    result = shell("schema", str(tmp_path / "s.json"))
    assert (result.exit_code, "s.json cannot be read: No such file" in result.stderr) == (65, True)
