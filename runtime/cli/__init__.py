"""The command line. Answers and data go to stdout, everything else to stderr; exit codes come from the error tree."""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

import click

from runtime import __version__
from runtime.cli.ask import EXAMPLES, chat, run
from runtime.cli.doctor import doctor
from runtime.cli.files import path, pull, rm, verify
from runtime.cli.models import info, list_models
from runtime.cli.ps import ps
from runtime.cli.scene import Scene, complain
from runtime.cli.schema import schema
from runtime.cli.serve import serve
from runtime.errors import Cancelled, LlamaletError


class Commands(click.Group):
    """Commands whose errors become a message on stderr and the exit code of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LlamaletError as error:
            complain(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo(err=True)
            ctx.exit(Cancelled.exit_code)


@click.group(cls=Commands, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="llamalet")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice, with llama.cpp's own log.")
@click.pass_context
def main(ctx: click.Context, verbose: int) -> None:
    """Cloudflare Workers AI on your own machine: Llama 3.1 and 3.2 through llama.cpp."""
    logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s")
    for stream, encoding in ((sys.stdin, "utf-8-sig"), (sys.stdout, "utf-8")):
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():  # whatever the system's own encoding
            stream.reconfigure(encoding=encoding, errors="strict")
    scene = ctx.ensure_object(Scene)
    if verbose:
        scene.options["log"] = "info" if verbose == 1 else "debug"


for command in (run, chat, serve, ps, pull, list_models, info, path, verify, rm, schema, doctor):
    main.add_command(command)
