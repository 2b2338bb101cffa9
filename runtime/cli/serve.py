"""`llamalet serve`: the HTTP server."""

from __future__ import annotations

import json
import logging
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from runtime import settings, store
from runtime.cli.progress import Shown
from runtime.cli.scene import files, scene
from runtime.resident import name_of
from runtime.settings import SETTINGS

if TYPE_CHECKING:
    from runtime.aio import AsyncRuntime
    from runtime.settings import Settings

log = logging.getLogger("llamalet.server")

EXAMPLES = """\b
Examples:
  llamalet serve
  llamalet serve --model 1b --slots 8 --keep-alive -1
  llamalet serve --host 0.0.0.0 --token-file /etc/llamalet/token
  llamalet serve --unix /run/user/1000/llamalet.sock --log-format json
"""

# As flags; `token` is none, since a command line is shown to every user of the machine.
FLAGS = [name for name in SETTINGS if name not in ("token", "log", "parity", "offline", "download", "log_prompts")]


def _setting_options(command: Any) -> Any:
    """A flag for each setting, checked where all settings are."""
    for name in reversed(FLAGS):
        row = SETTINGS[name]
        default = "" if row.default in (None, ()) else f" [default: {row.default}]"
        command = click.option("--" + name.replace("_", "-"), metavar="VALUE", help=row.help + default)(command)
    return command


@click.command(epilog=EXAMPLES)
@click.option("--model", metavar="NAME", help="Load this one at the start: a name from `llamalet list`, or a file.")
@click.option("--parity", is_flag=True, default=None, help=SETTINGS["parity"].help)
@click.option("--offline", is_flag=True, default=None, help=SETTINGS["offline"].help)
@click.option("--log-prompts", is_flag=True, default=None, help=SETTINGS["log_prompts"].help)
@click.option("--download/--no-download", default=None, help="Fetch --model if it is not here. [default: yes]")
@_setting_options
def serve(model: str | None, **options: Any) -> None:
    """Answer over HTTP as Cloudflare Workers AI does, until Ctrl-C or SIGTERM."""
    from runtime.aio import AsyncRuntime
    from runtime.server import listen, logs

    options = scene().options | options
    if settings.load({name: options[name] for name in options.keys() & SETTINGS.keys()}).isolation is None:
        options["isolation"] = "process"  # a crash is not to be the server's
    ai = AsyncRuntime(files=files(model or ""), on_download=Shown(), **options)
    name = _asked_for(ai, model)
    if model:
        _check_here(ai, model)
    logs.show(ai.settings)
    sockets = listen.open_sockets(ai.settings)
    url = listen.url(sockets)

    def say(line: str) -> None:
        if ai.settings.log_format == "json":
            log.info("%s", line)  # who reads JSON reads nothing else
        else:
            click.echo(f"llamalet: {line}", err=True)

    def announce() -> None:
        at = "" if ai.settings.host == "localhost" or ai.settings.unix else f" at {ai.settings.host}"
        say(f"listening on {url}{at} ({_who(ai.settings)})")
        say(f"loading {name}" if model else "no model is loaded; each is on its first use")
        say("try: " + _curl(url, name, ai.settings))

    listen.serve(ai, sockets, started=announce, model=model, loaded=lambda: say(f"loaded {name}"))


def _check_here(ai: AsyncRuntime, model: str) -> None:
    """Before anybody is told that a model is being loaded, unless it may still be fetched."""
    choice = ai.catalog.find(model)
    if ai.settings.offline or store.is_offline() or not ai.settings.download:
        store.locate(choice.spec, choice.quant)


def _asked_for(ai: AsyncRuntime, model: str | None) -> str:
    """The name by which clients ask for the model, or for the first that is on this machine. Raises `UnknownModel`."""
    here = (spec for spec in ai.catalog.models if store.available(spec))
    spec = ai.catalog.find(model).spec if model else next(here, ai.catalog.models[0])
    return name_of(spec)


def _who(settings: Settings) -> str:
    if settings.unix:
        return "for this user only, no token needed"
    return "a token is needed" if settings.token_file or settings.token else "from this machine only, no token needed"


def _curl(url: str, name: str, settings: Settings) -> str:
    """A line to try, for a shell."""
    path = "/ai/run/" + quote(name, safe="/@:")
    body = json.dumps({"prompt": "Why is the sky blue?"})
    if settings.unix:
        file = shlex.quote(url.removeprefix("unix:"))
        return f"curl --unix-socket {file} {shlex.quote(f'http://localhost{path}')} -d '{body}'"
    token = f' -H "Authorization: Bearer {_token(settings)}"' if settings.token_file or settings.token else ""
    return f"curl {shlex.quote(url + path)}{token} -d '{body}'"


def _token(settings: Settings) -> str:
    """What a shell makes the token of: of a file, the last word of the first line that is no comment."""
    if not settings.token_file:
        return "$LLAMALET_TOKEN"
    return f"$(awk '!/^ *#/ && NF {{print $NF; exit}}' {shlex.quote(str(settings.token_file))})"
