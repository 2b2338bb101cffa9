"""`llamalet schema`: what becomes of a JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from runtime.cli.scene import read_json

if TYPE_CHECKING:
    from runtime.grammar.explain import Explanation, Place

EXAMPLES = """\b
Examples:
  llamalet schema person.json
  llamalet schema person.json --check alice.json --check bob.json
  llamalet schema person.json --json | jq -r .grammar
"""
INVALID = 1  # exit code, as grep's for what was not found


@click.command(epilog=EXAMPLES)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("--open", "is_open", is_flag=True, help="Allow keys that are not declared, as the standard does.")
@click.option("--check", "instances", multiple=True, type=click.Path(), help="Say whether this document is valid.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def schema(ctx: click.Context, file: str, is_open: bool, instances: tuple[str, ...], as_json: bool) -> None:
    """Show the grammar of the JSON Schema in FILE (- is standard input), and which keywords it enforces.

    A schema that is refused ends with the place and the reason. With --check, documents are judged instead, and the
    exit code is 1 if one is not valid.
    """
    from runtime.grammar.explain import admits, explain

    given = read_json(file)
    explanation = explain(given, closed=not is_open)
    if explanation.refusal:
        raise explanation.refusal
    if instances:
        verdicts = {name: admits(given, read_json(name)) for name in instances}
        _show_verdicts(verdicts, as_json=as_json)
        ctx.exit(0 if all(verdicts.values()) else INVALID)
    _show(explanation, as_json=as_json)


def _show(explanation: Explanation, *, as_json: bool) -> None:
    parts = {name: getattr(explanation, name) for name in ("enforced", "annotations", "unknown")}
    if as_json:
        told = {name: [f"#{pointer}/{keyword}" for pointer, keyword in places] for name, places in parts.items()}
        click.echo(json.dumps({"grammar": explanation.grammar, **told}, ensure_ascii=False))
        return
    click.echo(explanation.grammar, nl=False)
    words: dict[str, str] = {
        "enforced": "enforced",
        "annotations": "read over, since they say nothing of what is valid",
        "unknown": "read over, since no draft of JSON Schema knows them: slips of the pen?",
    }
    for name, places in parts.items():
        if places:
            click.echo(f"\n{words[name]}:\n{_listed(places)}", err=True)


def _listed(places: tuple[Place, ...]) -> str:
    """Each keyword once, with where it stands."""
    found: dict[str, list[str]] = {}
    for pointer, keyword in places:
        found.setdefault(keyword, []).append(f"#{pointer}")
    return "\n".join(f"  {keyword:<22} {', '.join(pointers)}" for keyword, pointers in found.items())


def _show_verdicts(verdicts: dict[str, bool], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(verdicts, ensure_ascii=False))
        return
    for name, is_valid in verdicts.items():
        click.echo(f"{name}: {'valid' if is_valid else 'not valid'}")
