"""`llamalet list` and `info`: which models there are."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from runtime import catalog, gguf, settings, store
from runtime.cli.scene import files
from runtime.errors import ModelUnavailable
from runtime.units import size

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_MAX = 100  # characters; a chat template is no line of a table


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def list_models(as_json: bool, models: str | None) -> None:
    """List the models: their names, and their files on this machine with size, last use and place."""
    rows = [_row(spec) for spec in catalog.load(settings.load({"models": models}).models).models]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        name = f"{row['id']:<32} {', '.join(row['aliases']):<12}"
        for file in row["files"]:
            used = _day(file["last_used"])
            click.echo(f"{name} {file['quant']:<8} {size(file['bytes']):>8}  {used:<16}  {file['path']}")
        if not row["files"]:
            click.echo(f"{name} not on this machine")


def _day(seconds: float | None) -> str:
    return "never used" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def info(model: str, as_json: bool, models: str | None) -> None:
    """Say what is known of MODEL, or of a .gguf file: its files, context, memory and licence, and what they say."""
    known = catalog.load(settings.load({"models": models}).models)
    spec = known.with_files(files(model)).find(model).spec
    if files(model):
        store.locate(spec)  # else a file that is not there would look like a model
    row = _row(spec) | {
        "context_window": spec.context_window,
        "kv_bytes_per_token": spec.kv_bytes_per_token,
        "chat_format": spec.family,
        "repository": spec.repo,
        "revision": spec.repo and spec.revision,
        "licence": spec.licence,
        "notice": spec.notice,
        "adapters": [adapter.name for adapter in spec.adapters],
        "quants": {
            quant.name: {"file": quant.file, "bytes": quant.size, "sha256": quant.sha256} for quant in spec.quants
        },
    }
    for held, file in zip(store.held(spec), row["files"], strict=True):
        file |= {"sha256": held.sha256, "header": _header(held.path)}
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print(row)


def _print(row: dict[str, Any]) -> None:
    quants, here = row.pop("quants"), row.pop("files")
    for key in [key for key in row if row[key]]:
        click.echo(f"{key.replace('_', ' '):<20} {', '.join(row[key]) if isinstance(row[key], list) else row[key]}")
    for name, quant in quants.items():
        click.echo(f"  {name:<8} {size(quant['bytes']) if quant['bytes'] else '':>8}  {quant['file']}")
    for file in here:
        click.echo(f"{file['path']}: {size(file['bytes'])}, {_day(file['last_used'])}")
        for key, value in file["header"].items():
            click.echo(f"  {key:<40} {value}")


def _header(path: Path) -> dict[str, Any]:
    """What the file says of itself, less its arrays and its template; or what is wrong with it."""
    try:
        header = gguf.read_header(path)
    except ModelUnavailable as wrong:
        return {"problem": wrong.message}
    short = {key: value for key, value in header.metadata.items() if not isinstance(value, gguf.Array)}
    return {"tensors": len(header.tensors)} | {k: v for k, v in short.items() if len(str(v)) <= _TEXT_MAX}


def _row(spec: catalog.ModelSpec) -> dict[str, Any]:
    here = store.held(spec)
    return {
        "id": spec.id,
        "aliases": list(spec.aliases),
        "here": [one.quant.name for one in here],
        "files": [
            {"quant": one.quant.name, "bytes": one.size, "last_used": one.used, "path": str(one.path)} for one in here
        ],
    }
