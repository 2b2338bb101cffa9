"""`llamalet run` and `chat`: ask a model."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from runtime import loading
from runtime.cli.progress import Shown
from runtime.cli.scene import complain, files, load_line, read_json, scene
from runtime.errors import ContextTooLong, InvalidRequest, NotServed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime import Runtime

EXAMPLES = """\b
Examples:
  llamalet pull 1b
  llamalet run 1b "Why is the sky blue?"
  llamalet run 3b:Q8_0 --temperature 0 --max-tokens 60 < question.txt
  llamalet run 1b --json "Name three rivers." | jq .usage
  llamalet run 1b --schema person.json "Ann is 31." | jq .age
  llamalet chat 3b --system "You are a patient teacher."
  llamalet list
"""

_PENALTY = click.FloatRange(0, 2)
# Of `run` and `chat`: options of the request, with the bounds of the published schema, and settings.
OPTIONS = [
    click.option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens. [default: 256]"),
    click.option("--temperature", type=click.FloatRange(0, 5), help="0 takes the likeliest token. [default: 0.6]"),
    click.option("--top-k", type=click.IntRange(1, 50), help="Choose among so many likeliest tokens."),
    click.option("--top-p", type=click.FloatRange(0, 2), help="Choose among so much probability. [default: 0.9]"),
    click.option("--min-p", type=click.FloatRange(0, 1), help="Drop the less likely than this of the likeliest."),
    click.option("--seed", type=click.IntRange(1, 9999999999), help="Repeat an answer that was alone."),
    click.option("--repetition-penalty", type=_PENALTY, help="More than 1 discourages repetition."),
    click.option("--frequency-penalty", type=_PENALTY, help="For each time a token was written."),
    click.option("--presence-penalty", type=_PENALTY, help="Once a token was written."),
    click.option("--stop", multiple=True, help="End the answer before this text. May be repeated."),
    click.option("--lora", help="Name of a LoRA adapter from your models file."),
    click.option("--context", type=click.IntRange(256, 131072), help="Tokens that fit. [default: 4096]"),
    click.option("--threads", type=click.IntRange(0, 512), help="Of llama.cpp. [default: the cores there are]"),
    click.option("--models", type=click.Path(), help="A TOML file with models and adapters of your own."),
    click.option("--offline", is_flag=True, default=None, help="Open no connection: the model must be here."),
]
SETTINGS = ("context", "threads", "models", "offline")  # the others are of the request


def sampling_options(command: Callable[..., None]) -> Callable[..., None]:
    return functools.reduce(lambda decorated, option: option(decorated), reversed(OPTIONS), command)


@click.command(epilog=EXAMPLES)
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", help="What the model is told before the prompt.")
@click.option("--raw", is_flag=True, help="Give the prompt as it is, without the chat format.")
@click.option("--schema", type=click.Path(), help="A file with the JSON Schema that the answer shall satisfy.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as one line of JSON.")
@click.option("--stats", is_flag=True, help="Say the speed on stderr when done.")
@sampling_options
def run(
    model: str,
    prompt: str | None,
    system: str | None,
    raw: bool,
    schema: str | None,
    as_json: bool,
    stats: bool,
    **options: Any,
) -> None:
    """Answer PROMPT, or standard input, with MODEL: a name from `llamalet list`, or a .gguf file."""
    if raw and system is not None:
        raise click.UsageError("--raw leaves out the chat format, and with it --system: write both into the prompt.")
    body = _given(options)
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": read_json(schema)}
    with _runtime(model, options) as ai:
        text = _prompt(prompt, raw)
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body |= {"prompt": text, "raw": raw} if system is None else {"messages": messages}
        result = ai.run(model, body) if as_json else _show(ai, model, body)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    if stats:
        click.echo(_speed(result), err=True)


def _prompt(argument: str | None, raw: bool) -> str:
    """The prompt given as argument, or else standard input."""
    if argument in (None, "-"):
        if scene().interactive:
            click.echo("Type the prompt, then Ctrl-D at the start of a line (on Windows Ctrl-Z and Enter).", err=True)
        argument = _read(sys.stdin.read)
    if not argument or not (raw or argument.strip()):
        raise InvalidRequest("The prompt is empty.", "Give it after the model's name, or on standard input.")
    return argument


def _read(source: Callable[[], str]) -> str:
    try:
        return source()
    except UnicodeDecodeError as wrong:
        found = f"it holds the byte 0x{wrong.object[wrong.start]:02x}"
        raise InvalidRequest(f"Standard input is not UTF-8: {found}.", "Convert it first.") from None


@click.command(epilog=EXAMPLES)
@click.argument("model")
@click.option("--system", help="What the model is told before the conversation.")
@sampling_options
def chat(model: str, system: str | None, **options: Any) -> None:
    """Talk with MODEL, a name from `llamalet list` or a .gguf file.

    Ctrl-C stops an answer; Ctrl-D or an empty line ends the conversation.
    """
    head = [{"role": "system", "content": system}] if system else []
    turns: list[dict[str, str]] = []
    with _runtime(model, options) as ai:
        while text := _ask():
            turns.append({"role": "user", "content": text})
            answer = _answer(ai, model, head, turns, _given(options))
            turns = turns[:-1] if answer is None else [*turns, {"role": "assistant", "content": answer}]


def _ask() -> str:
    """The next question; "" at the end."""
    if scene().interactive:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() its line editing
        click.echo("> ", err=True, nl=False)
    try:
        return _read(input).strip()
    except EOFError:
        return ""


def _answer(
    ai: Runtime, model: str, head: list[dict[str, str]], turns: list[dict[str, str]], body: dict[str, Any]
) -> str | None:
    """The answer to the last turn. None when there is none, and the conversation goes on without that turn."""
    while True:
        try:
            return str(_show(ai, model, {**body, "messages": head + turns}, stoppable=True)["response"])
        except (ContextTooLong, NotServed) as error:
            if not scene().interactive:
                raise
            complain(error)
            if not (isinstance(error, ContextTooLong) and len(turns) > 1 and _may_drop()):
                return None
            del turns[:2]


def _may_drop() -> bool:
    with contextlib.suppress(click.Abort):  # Ctrl-C or Ctrl-D
        return click.confirm("The context is full. Drop the oldest question and answer?", default=True, err=True)
    return False


def _show(ai: Runtime, model: str, body: dict[str, Any], *, stoppable: bool = False) -> dict[str, Any]:
    """Write the answer to stdout as it comes; give it whole. Ctrl-C ends it, or with `stoppable` only stops it."""
    pieces: list[str] = []
    last: dict[str, Any] = {}
    with ai.run(model, {**body, "stream": True}) as stream:
        try:
            while "usage" not in last:
                try:
                    for last in stream:
                        pieces.append(last["response"])
                        click.echo(last["response"], nl=False)
                except KeyboardInterrupt:
                    if not stoppable:
                        raise
                    stream.cancel()
        finally:
            if pieces:  # also before the message of what went wrong
                click.echo()
    return {**last, "response": "".join(pieces)}


def _speed(result: dict[str, Any]) -> str:
    usage, timings = result["usage"], result["timings"]
    return (
        f"{usage['prompt_tokens']} prompt tokens at {timings['prompt_tokens_per_second']:.1f} a second, "
        f"{usage['completion_tokens']} answer tokens at {timings['decode_tokens_per_second']:.1f} a second"
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in SETTINGS and value not in (None, ())}


@contextlib.contextmanager
def _runtime(model: str, options: dict[str, Any]) -> Iterator[Runtime]:
    from runtime import Runtime

    overrides = scene().options | {key: options[key] for key in SETTINGS}
    with Runtime(on_load=load_line if sys.stderr.isatty() else None, files=files(model), **overrides) as ai:
        # Before anybody writes a long question.
        loading.obtain(ai.catalog.find(model), ai.settings, fetch=ai.settings.download, progress=Shown())
        yield ai
