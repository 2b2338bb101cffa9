"""The command line. Answers and data go to stdout, everything else to stderr; exit codes come from the error tree."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import click

from runtime import __version__, catalog, settings, store
from runtime.errors import ContextTooLong, LlamaletError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime import Runtime

CANCELLED = 130  # 128 + SIGINT, what a shell expects after Ctrl-C

EXAMPLES = """\b
Examples:
  llamalet run 1b "Why is the sky blue?"
  llamalet run 3b:Q8_0 --temperature 0 --max-tokens 60 < question.txt
  llamalet run 1b --json "Name three rivers." | jq .usage
  llamalet chat 3b --system "You are a patient teacher."
  llamalet list
"""


class Commands(click.Group):
    """Commands whose errors become a message on stderr and the exit code of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LlamaletError as error:
            click.echo(f"llamalet: {error.message}", err=True)
            if error.hint:
                click.echo(f"  {error.hint}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(CANCELLED)


@click.group(cls=Commands, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llamalet")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice, with llama.cpp's own log.")
@click.pass_context
def main(ctx: click.Context, verbose: int) -> None:
    """Cloudflare Workers AI on your own machine: Llama 3.1 and 3.2 through llama.cpp."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
    ctx.obj = {"log": ("info", "debug")[min(verbose, 2) - 1]} if verbose else {}


def sampling_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that `run` and `chat` share: those of the request, and those of the settings."""
    options = [
        click.option("--max-tokens", type=int, help="Longest answer, in tokens. [default: 256]"),
        click.option("--temperature", type=float, help="0 to 5; 0 always takes the likeliest token. [default: 0.6]"),
        click.option("--top-k", type=int, help="Choose among so many likeliest tokens, 1 to 50."),
        click.option("--top-p", type=float, help="Choose among tokens of this probability together. [default: 0.9]"),
        click.option("--min-p", type=float, help="Drop tokens less likely than this share of the likeliest."),
        click.option("--seed", type=int, help="Repeat an answer that was alone: 1 to 9999999999."),
        click.option("--repetition-penalty", type=float, help="0 to 2; more than 1 discourages repetition."),
        click.option("--frequency-penalty", type=float, help="0 to 2, for each time a token was written."),
        click.option("--presence-penalty", type=float, help="0 to 2, once a token was written."),
        click.option("--stop", multiple=True, help="End the answer before this text. May be repeated."),
        click.option("--lora", help="Name of a LoRA adapter from your models file."),
        click.option("--context", type=int, help="Tokens of prompt and answer together that fit. [default: 4096]"),
        click.option("--threads", type=int, help="Threads of llama.cpp. [default: the cores this process may use]"),
        click.option("--models", type=click.Path(), help="A TOML file with models and adapters of your own."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


SETTINGS = ("context", "threads", "models")


@main.command(epilog=EXAMPLES)
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", help="What the model is told before the prompt.")
@click.option("--raw", is_flag=True, help="Give the prompt as it is, without the chat format.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as one line of JSON.")
@click.option("--stats", is_flag=True, help="Say the speed on stderr when done.")
@sampling_options
def run(
    model: str, prompt: str | None, system: str | None, raw: bool, as_json: bool, stats: bool, **options: Any
) -> None:
    """Answer PROMPT, or standard input, with MODEL: a name from `llamalet list`, or a .gguf file."""
    text = sys.stdin.read() if prompt in (None, "-") else prompt
    body = _given(options)
    if system is None:
        body |= {"prompt": text, "raw": raw}
    else:
        body |= {"messages": [{"role": "system", "content": system}, {"role": "user", "content": text}], "raw": raw}
    with _runtime(model, options) as ai:
        result = ai.run(model, body) if as_json else _show(ai, model, body)
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    if stats:
        click.echo(_speed(result), err=True)


@main.command(epilog=EXAMPLES)
@click.argument("model")
@click.option("--system", help="What the model is told before the conversation.")
@sampling_options
def chat(model: str, system: str | None, **options: Any) -> None:
    """Talk with MODEL, a name from `llamalet list` or a .gguf file. Ctrl-C stops an answer, Ctrl-D or an empty line ends the conversation."""
    head = [{"role": "system", "content": system}] if system else []
    turns: list[dict[str, str]] = []
    with _runtime(model, options) as ai:
        while text := _ask():
            turns.append({"role": "user", "content": text})
            answer = _answer(ai, model, head, turns, _given(options))
            if answer is None:
                turns.pop()
            else:
                turns.append({"role": "assistant", "content": answer})


def _ask() -> str:
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() its line editing
        click.echo("> ", err=True, nl=False)
    try:
        return input().strip()
    except EOFError:
        return ""


def _answer(
    ai: Runtime, model: str, head: list[dict[str, str]], turns: list[dict[str, str]], body: dict[str, Any]
) -> str | None:
    """The answer to the last turn. None when the context is full and the oldest turns shall stay."""
    while True:
        try:
            result = _show(ai, model, {**body, "messages": head + turns}, stoppable=True)
            return str(result["response"])
        except ContextTooLong as error:
            click.echo(f"The context is full. {error.message}", err=True)
            if len(turns) < 3 or not sys.stdin.isatty():
                raise
            if not click.confirm("Drop the oldest question and answer?", default=True, err=True):
                return None
            del turns[:2]


def _show(ai: Runtime, model: str, body: dict[str, Any], *, stoppable: bool = False) -> dict[str, Any]:
    """Write the answer to stdout as it comes; give it whole. Ctrl-C ends it, or with `stoppable` only stops it."""
    text, last = [], {}
    with ai.run(model, {**body, "stream": True}) as stream:
        while True:
            try:
                for last in stream:
                    text.append(last["response"])
                    click.echo(last["response"], nl=False)
                break
            except KeyboardInterrupt:
                if not stoppable:
                    raise
                stream.cancel()
    click.echo()
    return {**last, "response": "".join(text)}


def _speed(result: dict[str, Any]) -> str:
    usage, timings = result["usage"], result["timings"]
    return (
        f"{usage['prompt_tokens']} prompt tokens at {timings['prompt_tokens_per_second']:.1f} a second, "
        f"{usage['completion_tokens']} answer tokens at {timings['decode_tokens_per_second']:.1f} a second"
    )


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The request's options that were given on the command line."""
    given = {key: value for key, value in options.items() if key not in SETTINGS and value not in (None, ())}
    return given | ({"stop": list(given["stop"])} if "stop" in given else {})


@contextlib.contextmanager
def _runtime(model: str, options: dict[str, Any]) -> Iterator[Runtime]:
    from runtime import Runtime

    overrides = click.get_current_context().obj | {key: options[key] for key in SETTINGS}
    files = [model] if model.endswith(".gguf") else []
    with Runtime(on_load=_load_line if sys.stderr.isatty() else None, files=files, **overrides) as ai:
        yield ai


def _load_line(done: float) -> None:
    """One line on a terminal, which goes away when the model is there."""
    click.echo("\r\x1b[K" if done >= 1 else f"\rloading {done:4.0%}", err=True, nl=False)


@main.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def list_models(as_json: bool, models: str | None) -> None:
    """List the models: their names, and what of them is on this machine."""
    rows = [_row(spec) for spec in _catalog(models).models]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        here = ", ".join(row["here"]) or "not on this machine"
        click.echo(f"{row['id']:<36} {', '.join(row['aliases']):<36} {here}")


@main.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def info(model: str, as_json: bool, models: str | None) -> None:
    """Say what is known of MODEL: its files, context, memory and licence."""
    spec = _catalog(models).find(model).spec
    row = _row(spec) | {
        "context_window": spec.context_window,
        "kv_bytes_per_token": spec.kv_bytes_per_token,
        "chat_format": spec.family,
        "repository": spec.repo,
        "revision": spec.revision,
        "licence": spec.licence,
        "notice": spec.notice,
        "adapters": [adapter.name for adapter in spec.adapters],
        "quants": {quant.name: {"file": quant.file, "bytes": quant.size} for quant in spec.quants},
    }
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    quants = row.pop("quants")
    for key, value in row.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if shown not in (None, ""):
            click.echo(f"{key.replace('_', ' '):<20} {shown}")
    for name, quant in quants.items():
        size = f"{quant['bytes'] / 1e9:.2f} GB" if quant["bytes"] else ""
        click.echo(f"  {name:<8} {size:>8}  {quant['file']}")


def _catalog(models: str | None) -> catalog.Catalog:
    return catalog.load(settings.load({"models": models}).models)


def _row(spec: catalog.ModelSpec) -> dict[str, Any]:
    return {"id": spec.id, "aliases": list(spec.aliases), "here": [quant.name for quant in store.available(spec)]}
