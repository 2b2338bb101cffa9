"""`llamalet doctor`: this machine, what fits on it, and what to change."""

from __future__ import annotations

import json
import os
import platform
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from runtime import catalog, loading, machine, settings, store
from runtime.engine import binary
from runtime.errors import DoesNotFit
from runtime.fit import MARGIN, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.catalog import Choice, ModelSpec
    from runtime.fit import Room
    from runtime.settings import Settings

HUB_SECONDS = 3.0  # a hub that is slower is none to fetch gigabytes from
SOURCE = "install llama-cpp-python from its source (docs/install.md)"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--models", type=click.Path(), help="A TOML file with models of your own.")
@click.option("--offline", is_flag=True, help="Do not ask whether the hub can be reached.")
def doctor(as_json: bool, models: str | None, offline: bool) -> None:
    """Say what this machine has, which models fit on it and how, and what to change."""
    chosen = settings.load({"models": models})
    found = {
        "machine": _machine(),
        "threads": _threads(chosen),
        "llama_cpp": asdict(binary.check()),
        "models": _models(chosen),
        "cache": _cache(),
        "hub": _hub(offline),
    }
    found["advice"] = _advice(found)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _show(found)


def _machine() -> dict[str, Any]:
    memory = machine.memory()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(machine.cores()),
        "memory": memory.total,
        "available": memory.available,
        "limit": memory.limit,
    }


def _threads(chosen: Settings) -> dict[str, Any]:
    allowed, writing = machine.allowed(), chosen.threads or machine.threads()
    return {
        "writing": writing,
        "prompts": chosen.prompt_threads or writing,
        "set_by": chosen.origin("threads"),
        "processors": os.cpu_count(),
        "allowed": None if allowed is None else len(allowed),
        "quota": machine.quota(),
    }


def _models(chosen: Settings) -> list[dict[str, Any]]:
    known, room = catalog.load(chosen.models), loading.room(chosen)
    return [_model(known.find(spec.id), chosen, room, known.models) for spec in known.models]


def _model(choice: Choice, chosen: Settings, room: Room, known: tuple[ModelSpec, ...]) -> dict[str, Any]:
    here = [quant.name for quant in store.available(choice.spec)]
    row: dict[str, Any] = {"id": choice.spec.id, "name": (*choice.spec.aliases, choice.spec.id)[0], "here": here}
    try:
        plan = loading.forecast(choice, chosen, room, catalog=known)
    except DoesNotFit as error:
        return row | {"fits": False, "problem": str(error)}
    if plan is None:
        return row | {"fits": None, "problem": "not known before its file is there"}
    size = {"bytes": plan.need.total + MARGIN, "parts": {**asdict(plan.need), "margin": MARGIN}}
    return row | {"fits": True, "quant": plan.model.quant, "context": plan.context, "kv_type": plan.kv_type} | size


def _cache() -> dict[str, Any]:
    folder = store.cache()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return {"folder": str(folder), "free": shutil.disk_usage(there).free}


def _hub(offline: bool) -> dict[str, Any]:
    if offline:
        return {"reached": None, "problem": "not asked (--offline)"}
    problem = store.hub_problem(seconds=HUB_SECONDS)
    return {"reached": problem is None, "problem": problem}


def _advice(found: dict[str, Any]) -> list[str]:
    """What to change, the gravest first."""
    llama_cpp, threads, models = found["llama_cpp"], found["threads"], found["models"]
    quota, limit = threads["quota"], found["machine"]["limit"]
    small = _list([one["name"] for one in models if one["fits"] is False])
    advice = {
        f"llama.cpp cannot be loaded ({llama_cpp['problem']}): {SOURCE}.": llama_cpp["problem"],
        f"llama.cpp was built for a CPU with {_list(llama_cpp['missing'])}, which this one lacks, so that it can end at"
        f" any instruction: {SOURCE}.": llama_cpp["missing"],
        f"llama.cpp was built without {_list(llama_cpp['unused'])}, which this CPU has: to be faster, {SOURCE}.": (
            llama_cpp["unused"]
        ),
        f"The CPU quota of {quota} counts as {threads['writing']}: make it a whole number.": (
            quota and quota % 1 and threads["set_by"] == "default"
        ),
        f"{threads['writing']} threads under a CPU quota of {quota} wait for each other: set threads to 0.": (
            quota and threads["writing"] > max(1, quota)
        ),
        f"{small} would need more memory: raise the limit of {shown(limit or 0)}.": small and limit,
        "No model is on this machine: `llamalet info 1b` names its files.": not any(one["here"] for one in models),
        f"The hub cannot be reached: {found['hub']['problem']}.": found["hub"]["reached"] is False,
    }
    return [text for text, holds in advice.items() if holds]


def _list(names: Sequence[str]) -> str:
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def _show(found: dict[str, Any]) -> None:
    this, threads, cache, hub = found["machine"], found["threads"], found["cache"], found["hub"]
    limit = f", limited to {shown(this['limit'])}" if this["limit"] else ""
    quota = "" if threads["quota"] is None else f", CPU quota {threads['quota']:g}"
    allowed = threads["processors"] if threads["allowed"] is None else threads["allowed"]
    rows = {
        "machine": f"{this['system']}, {this['cores']} cores",
        "memory": f"{shown(this['memory'])}, {shown(this['available'])} available{limit}",
        "threads": f"{threads['writing']} to write, {threads['prompts']} for prompts"
        f" ({allowed} of {threads['processors']} processors allowed{quota})",
        "llama.cpp": found["llama_cpp"]["features"] or found["llama_cpp"]["problem"],
        "cache": f"{cache['folder']}, {shown(cache['free'])} free",
        "hub": hub["problem"] or "can be reached",
    }
    for name, text in rows.items():
        click.echo(f"{name:<10} {text}")
    click.echo("models")
    for one in found["models"]:
        click.echo(f"  {one['name']:<8} {_told(one)}")
    for line in found["advice"] or ["Nothing needs to be changed."]:
        click.echo(f"-> {line}" if found["advice"] else line)


def _told(model: dict[str, Any]) -> str:
    here = f"here: {', '.join(model['here'])}" if model["here"] else "not on this machine"
    if not model["fits"]:
        return f"{model['problem']} ({here})"
    cache = "" if model["kv_type"] == "f16" else f", {model['kv_type']} cache"
    return f"fits: {model['quant']}, {model['context']} tokens{cache}, {shown(model['bytes'])} ({here})"
