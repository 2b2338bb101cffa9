"""How a model is loaded: its file, whether that fits the machine, and the engine made of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import fit, gguf, machine, store
from runtime.engine import EngineConfig
from runtime.errors import ModelUnavailable, ModelUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runtime.catalog import Choice, ModelSpec, Quant
    from runtime.engine import Engine
    from runtime.settings import Settings
    from runtime.store import Progress

NO_BOUND = 1 << 62


def configure(
    choice: Choice,
    settings: Settings,
    space: fit.Room,
    *,
    loaded: Iterable[EngineConfig] = (),
    catalog: Iterable[ModelSpec] = (),
) -> EngineConfig:
    """What the engine of this model is made of. `space` is for all models, as if no other were there, so the plan does
    not depend on the others. Of those that are `loaded`, by the same settings, it is the one that has this very file
    and the same adapters, as it is.

    Raises `DoesNotFit` with the nearest in the `catalog` that fits, and `ModelUnavailable` for a file that is missing,
    is none, or does not go with the settings.
    """
    path = obtain(choice, settings, fetch=False)
    for one in loaded:
        if one.model.resolve() == path.resolve() and one.adapters == choice.spec.adapters:
            return one
    model = _on_disk(choice.spec, path)
    config = EngineConfig(
        model=path,
        slots=settings.slots,
        queue=settings.queue,
        threads=settings.threads or machine.threads(),
        prompt_threads=settings.prompt_threads,
        kv_type=settings.kv_type,
        gpu_layers=settings.gpu_layers,
        adapters=choice.spec.adapters,
    )
    store.use(path)
    if config.kv_type == "q8_0" and model.shape.head_width % 32:
        raise ModelUnsupported(
            f"{path}: its heads have {model.shape.head_width} numbers, and q8_0 has blocks of 32.",
            "Set kv_type to f16.",
        )
    found = fit.plan(model, space, **_asked(settings), others=fit.smaller(catalog, model))
    return replace(config, context=found.context, memory=found.need.total, at_once=found.need.at_once)


def forecast(
    choice: Choice, settings: Settings, space: fit.Room, *, catalog: Iterable[ModelSpec] = ()
) -> fit.Plan | None:
    """How this model would be loaded, whether it is on this machine or not, which costs no download to know. None where
    the catalogue does not know enough of one that is not. Raises `DoesNotFit` with the nearest that fits.
    """
    spec, quant = choice.spec, _wanted(choice, settings)
    try:
        models = [_on_disk(spec, store.locate(spec, quant))]
    except ModelUnavailable:
        models = fit.candidates(spec) if quant is None else [one for one in [fit.of_quant(spec, quant)] if one]
    if not models:
        return None
    return fit.choose(models, space, **_asked(settings), others=fit.smaller(catalog, models[0]))


def room(settings: Settings, held: int = 0) -> fit.Room:
    """What all models may take: as the settings say, or what is available and what those that are loaded `held`, in
    bytes.

    With layers on a GPU nothing bounds it, since most of it is in another memory then.
    """
    if settings.gpu_layers:
        return fit.Room(NO_BOUND)
    return fit.Room(settings.memory or machine.memory().available + held, machine.copies_output())


def _on_disk(spec: ModelSpec, path: Path) -> fit.Model:
    """What counts of a model whose file is there."""
    header = gguf.check(path)
    adapters = sum(one.path.stat().st_size for one in spec.adapters if one.path.is_file())
    return fit.of_file(spec, quant_of(spec, path), header, gguf.shape(header), extra=adapters)


def quant_of(spec: ModelSpec, path: Path) -> str:
    """The name of the quant that this file of the model is."""
    return next((one.name for one in spec.quants if Path(one.file).name == path.name), spec.default_quant)


def _asked(settings: Settings) -> dict[str, Any]:
    return {"slots": settings.slots, "context": settings.context, "kv_type": settings.kv_type}


def obtain(
    choice: Choice,
    settings: Settings,
    *,
    fetch: bool,
    progress: Callable[[Progress], None] | None = None,
    catalog: Iterable[ModelSpec] = (),
) -> Path:
    """The model's file, checked; with `fetch`, and unless the settings say offline, fetched where it is not here.

    Raises `DoesNotFit` in place of a fetch that would be for nothing, and `ModelUnavailable`.
    """
    fetch = fetch and not settings.offline
    quant = to_fetch(choice, settings, catalog=catalog) if fetch else _wanted(choice, settings)
    return store.pull(choice.spec, quant, progress=progress, offline=not fetch).path


def to_fetch(choice: Choice, settings: Settings, *, catalog: Iterable[ModelSpec] = ()) -> Quant | None:
    """The quant to fetch: the one that is named, or else the best that fits; None where one of any kind is here.

    Raises `DoesNotFit`, with the nearest in the `catalog`, before anybody waits for a file that cannot be loaded.
    """
    wanted, here = _wanted(choice, settings), store.available(choice.spec)
    if wanted in here or (wanted is None and here):
        return wanted
    found = forecast(choice, settings, room(settings), catalog=catalog)
    return choice.spec.quant(found.model.quant) if found else wanted


def _wanted(choice: Choice, settings: Settings) -> Quant | None:
    return choice.quant or preferred(choice.spec, settings.quant)


def local_engine(config: EngineConfig, progress: Callable[[float], None]) -> Engine:
    """llama.cpp in this process, with the model loaded. `progress` is called with 0.0 to 1.0 meanwhile."""
    from runtime.engine.local import LocalEngine

    return LocalEngine(config, progress=progress)


def remote_engine(seconds: float, config: EngineConfig, progress: Callable[[float], None]) -> Engine:
    """Likewise, in a process of its own, which is ended when it does nothing for so many seconds."""
    from runtime.engine.remote import RemoteEngine

    return RemoteEngine(config, progress=progress, watchdog=seconds)


def engines(settings: Settings) -> Callable[[EngineConfig, Callable[[float], None]], Engine]:
    """What makes engines where the settings say."""
    return partial(remote_engine, settings.watchdog) if settings.isolation == "process" else local_engine


def preferred(spec: ModelSpec, wanted: str | None) -> Quant | None:
    """The quant that the settings prefer, if the model has it."""
    return next((quant for quant in spec.quants if quant.name.lower() == (wanted or "").lower()), None)
