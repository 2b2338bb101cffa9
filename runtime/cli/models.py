"""`llamalet list` and `info`: which models there are."""

from __future__ import annotations

import json
from typing import Any

import click

from runtime import catalog, settings, store
from runtime.cli.scene import files


@click.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def list_models(as_json: bool, models: str | None) -> None:
    """List the models: their names, and what of them is on this machine."""
    rows = [_row(spec) for spec in catalog.load(settings.load({"models": models}).models).models]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['id']:<36} {', '.join(row['aliases']):<36} {', '.join(row['here']) or 'not on this machine'}")


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
def info(model: str, as_json: bool, models: str | None) -> None:
    """Say what is known of MODEL, or of a .gguf file: its files, context, memory and licence."""
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
        "quants": {quant.name: {"file": quant.file, "bytes": quant.size} for quant in spec.quants},
    }
    if as_json:
        click.echo(json.dumps(row, ensure_ascii=False))
        return
    quants = row.pop("quants")
    for key in [key for key in row if row[key]]:
        click.echo(f"{key.replace('_', ' '):<20} {', '.join(row[key]) if isinstance(row[key], list) else row[key]}")
    for name, quant in quants.items():
        size = f"{quant['bytes'] / 1e9:.2f} GB" if quant["bytes"] else ""
        click.echo(f"  {name:<8} {size:>8}  {quant['file']}")


def _row(spec: catalog.ModelSpec) -> dict[str, Any]:
    return {"id": spec.id, "aliases": list(spec.aliases), "here": [quant.name for quant in store.available(spec)]}
