"""`llamalet pull`, `rm`, `verify` and `path`: the models' files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from runtime import catalog, loading, settings, store
from runtime.catalog import PREFIX
from runtime.cli.progress import Shown
from runtime.cli.scene import complain, files
from runtime.errors import DoesNotFit, ModelBroken
from runtime.units import size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.catalog import ModelSpec, Quant

EXAMPLES = """\b
Examples:
  llamalet pull 1b
  llamalet pull 3b:Q8_0
  llamalet pull hf:owner/repo/my-llama-Q4_K_M.gguf --name mine
  llamalet verify
  llamalet rm 3b:Q8_0
"""

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_MODELS = click.option("--models", type=click.Path(), help="A TOML file with models of your own.")


def _options(command: Callable[..., None]) -> Callable[..., None]:
    return _JSON(_MODELS(command))


@click.command(epilog=EXAMPLES)
@click.argument("model")
@click.option("--name", help="For hf:...: what to call the model. [default: as the file]")
@click.option("--anyway", is_flag=True, help="Fetch it although this machine has not the memory for it.")
@click.option("--offline", is_flag=True, default=None, help="Open no connection: only check what is here.")
@click.option("--json", "as_json", is_flag=True, help="Print what happens as lines of JSON.")
@_MODELS
def pull(model: str, name: str | None, anyway: bool, offline: bool | None, as_json: bool, models: str | None) -> None:
    """Fetch MODEL, a name from `llamalet list` with or without :QUANT, or hf:owner/repo/file.gguf from the hub.

    What is here already is not fetched again, and a pull that was interrupted goes on where it was. A file from the
    hub by hf: is written into your models file.
    """
    given = settings.load({"models": models, "offline": offline})
    shown = Shown(as_json=as_json)
    if model.startswith("hf:"):
        file = given.models or settings.models_file()
        spec, pulled = store.add(model, file, name=name, progress=shown, offline=given.offline)
        quant = spec.quants[0]
        if not as_json:
            click.echo(f"llamalet: {spec.id} stands in {file}", err=True)
    elif name is not None:
        raise click.UsageError("--name goes with hf:owner/repo/file.gguf; other models have their names.")
    else:
        spec, quant = _chosen(model, given, anyway=anyway)
        pulled = store.pull(spec, quant, progress=shown, offline=given.offline)
    if as_json:
        row = {"path": str(pulled.path), "bytes": pulled.size, "sha256": pulled.sha256, "fetched": pulled.fetched}
        click.echo(json.dumps({"event": "pulled", "model": spec.id, "quant": quant.name, **row}))
    else:
        click.echo(pulled.path)


def _chosen(model: str, given: settings.Settings, *, anyway: bool) -> tuple[ModelSpec, Quant]:
    """The model, and the quant that is meant where nothing need be here yet: if none is named, the best that fits."""
    known = catalog.load(given.models).with_files(files(model))
    choice = known.find(model)
    spec = choice.spec
    quant = choice.quant or loading.preferred(spec, given.quant)
    if not (anyway or given.offline):
        try:
            quant = loading.to_fetch(choice, given, catalog=known.models) or quant
        except DoesNotFit as error:
            raise DoesNotFit(error.message, f"{error.hint or ''} Or fetch it anyway: --anyway.".strip()) from None
    return spec, quant or spec.quant(spec.default_quant)


@click.command()
@click.argument("model")
@_options
def rm(model: str, as_json: bool, models: str | None) -> None:
    """Delete the files of MODEL, or the one of MODEL:QUANT, and what unfinished pulls have left of it."""
    choice = catalog.load(settings.load({"models": models}).models).find(model)
    gone = store.remove(choice.spec, choice.quant)
    rows = [{"quant": one.quant.name, "path": str(one.path), "bytes": one.size} for one in gone]
    if as_json:
        click.echo(json.dumps({"model": choice.spec.id, "removed": rows}))
        return
    for one in gone:
        click.echo(f"removed {choice.spec.id}:{one.quant.name}, {size(one.size)}", err=True)


@click.command()
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@_options
@click.pass_context
def verify(ctx: click.Context, names: tuple[str, ...], as_json: bool, models: str | None) -> None:
    """Read the files of the models, by default of all that are here, and compare their hashes.

    A damaged file of the cache is set aside. The exit code is 66 if there was one.
    """
    known = catalog.load(settings.load({"models": models}).models)
    chosen = [known.with_files(files(name)).find(name) for name in names] or [catalog.Choice(s) for s in known.models]
    shown = Shown()
    wanted = [(choice.spec, quant) for choice in chosen for quant in _quants(choice, named=bool(names))]
    rows = [_verified(spec, quant, shown, as_json=as_json) for spec, quant in wanted]
    if as_json:
        click.echo(json.dumps(rows))
    if not all(row["ok"] for row in rows):
        ctx.exit(ModelBroken.exit_code)


def _quants(choice: catalog.Choice, *, named: bool) -> Sequence[Quant]:
    """Those to read. A model that was named must be here."""
    if choice.quant:
        return [choice.quant]
    here = store.present(choice.spec)
    return here or ([choice.spec.quant(choice.spec.default_quant)] if named else [])


def _verified(spec: ModelSpec, quant: Quant, shown: Shown, *, as_json: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"model": spec.id, "quant": quant.name}
    try:
        held = store.verify(spec, quant, progress=shown)
        row |= {"ok": True, "path": str(held.path), "sha256": held.sha256}
    except ModelBroken as wrong:
        row |= {"ok": False, "problem": wrong.message, "hint": wrong.hint}
        complain(wrong)
    else:
        if not as_json:
            click.echo(f"{spec.id.removeprefix(PREFIX)}:{quant.name}  {row['sha256']}  ok")
    return row


@click.command()
@click.argument("model")
@_options
def path(model: str, as_json: bool, models: str | None) -> None:
    """Print where the file of MODEL is."""
    given = settings.load({"models": models})
    choice = catalog.load(given.models).with_files(files(model)).find(model)
    found = store.locate(choice.spec, choice.quant or loading.preferred(choice.spec, given.quant))
    click.echo(json.dumps({"model": choice.spec.id, "path": str(found)}) if as_json else found)
