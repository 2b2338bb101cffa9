"""`llamalet serve`: the HTTP server."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from runtime import store
from runtime.cli.progress import Shown
from runtime.cli.scene import files, scene
from runtime.settings import SETTINGS

if TYPE_CHECKING:
    from runtime.aio import AsyncRuntime
    from runtime.settings import Settings

EXAMPLES = """\b
Examples:
  llamalet serve
  llamalet serve --model 1b --slots 8 --keep-alive -1
  llamalet serve --host 0.0.0.0 --token-file /etc/llamalet/token
"""

# As flags; `token` is none, since a command line is shown to every user of the machine.
FLAGS = [name for name in SETTINGS if name not in ("token", "log", "parity", "offline", "download")]


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
@click.option("--download/--no-download", default=None, help="Fetch --model if it is not here. [default: yes]")
@_setting_options
def serve(model: str | None, **options: Any) -> None:
    """Answer over HTTP as Cloudflare Workers AI does, until Ctrl-C or SIGTERM."""
    from runtime.aio import AsyncRuntime
    from runtime.server import listen

    ai = AsyncRuntime(files=files(model or ""), on_download=Shown(), **scene().options | options)
    name = _asked_for(ai, model)
    if model:
        _check_here(ai, model)
    sockets = listen.open_sockets(ai.settings)
    url = listen.url(sockets)

    def announce() -> None:
        at = "" if ai.settings.host == "localhost" else f" at {ai.settings.host}"
        _say(f"listening on {url}{at} ({_who(ai)})")
        _say(f"loading {name}" if model else "no model is loaded; each is on its first use")
        _say("try: " + _curl(url, name, ai.settings))

    listen.serve(ai, sockets, started=announce, model=model, loaded=lambda: _say(f"loaded {name}"))


def _check_here(ai: AsyncRuntime, model: str) -> None:
    """Before anybody is told that a model is being loaded, unless it may still be fetched."""
    choice = ai.catalog.find(model)
    if ai.settings.offline or store.is_offline() or not ai.settings.download:
        store.locate(choice.spec, choice.quant)


def _asked_for(ai: AsyncRuntime, model: str | None) -> str:
    """The name by which clients ask for the model, or for the first that is on this machine. Raises `UnknownModel`."""
    here = (spec for spec in ai.catalog.models if store.available(spec))
    spec = ai.catalog.find(model).spec if model else next(here, ai.catalog.models[0])
    return spec.aliases[0] if spec.path and spec.aliases else spec.id


def _who(ai: AsyncRuntime) -> str:
    return "a token is needed" if _has_token(ai) else "from this machine only, no token needed"


def _has_token(ai: AsyncRuntime) -> bool:
    return bool(ai.settings.token_file or ai.settings.token)


def _curl(url: str, name: str, settings: Settings) -> str:
    """A line to try, for a shell."""
    given = f"$(cat {shlex.quote(str(settings.token_file))})" if settings.token_file else "$LLAMALET_TOKEN"
    token = f' -H "Authorization: Bearer {given}"' if settings.token_file or settings.token else ""
    body = json.dumps({"prompt": "Why is the sky blue?"})
    address = shlex.quote(f"{url}/ai/run/" + quote(name, safe="/@:"))
    return f"curl {address}{token} -d '{body}'"


def _say(line: str) -> None:
    click.echo(f"llamalet: {line}", err=True)
