"""Where the models' files are on this machine. Nothing here opens a connection.

The only module that knows the Hugging Face hub. Its cache (`HF_HOME`) is shared with every other program that uses
it, so that a file is on the disk once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import ModelBroken, ModelMissing

if TYPE_CHECKING:
    from runtime.catalog import ModelSpec, Quant


def locate(spec: ModelSpec, quant: Quant | None = None, *, cache: Path | None = None) -> Path:
    """The file of a model.

    quant None is the default quant or, where that is not on the machine, the first in the catalogue's order that is.
    cache: the hub's cache folder, by default the one that HF_HUB_CACHE or HF_HOME names.
    Raises ModelMissing with the command that fetches the file, ModelBroken where its size is not the stated one.
    """
    wanted = [quant] if quant else sorted(spec.quants, key=lambda one: one.name != spec.default_quant)
    for one in wanted:
        path = _find(spec, one, cache)
        if path is not None:
            return _checked(spec, one, path)
    raise _missing(spec, wanted[0], cache)


def available(spec: ModelSpec, *, cache: Path | None = None) -> tuple[Quant, ...]:
    """The quants whose whole file is on this machine, in the catalogue's order."""
    return tuple(quant for quant in spec.quants if _is_whole(_find(spec, quant, cache), quant))


def _find(spec: ModelSpec, quant: Quant, cache: Path | None) -> Path | None:
    """The file if there is one, whole or not."""
    if spec.path is not None:
        return spec.path if spec.path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.repo, quant.file, cache_dir=cache, revision=spec.revision)
    return Path(found) if isinstance(found, str) else None  # else None, or a mark that the hub has no such file


def _is_whole(path: Path | None, quant: Quant) -> bool:
    return path is not None and quant.size in (None, path.stat().st_size)


def _checked(spec: ModelSpec, quant: Quant, path: Path) -> Path:
    """The path, if the file's size is right: the hub hands out a cached file that was cut short."""
    if _is_whole(path, quant):
        return path
    raise ModelBroken(
        f"{path} has {path.stat().st_size} bytes instead of the {quant.size} of {spec.id}:{quant.name}.",
        # Deleting the file alone would not do: the hub would link its damaged blob again.
        f"Run: {_command(spec, quant)} --force-download" if spec.path is None else "Copy it again.",
    )


def _missing(spec: ModelSpec, quant: Quant, cache: Path | None) -> ModelMissing:
    if spec.path is not None:
        return ModelMissing(f"{spec.id}: there is no file {spec.path}.", "Put it there, or correct the path.")
    have = [f"{spec.id}:{one.name}" for one in available(spec, cache=cache)]
    but = f", but {' and '.join(have)} {'is' if len(have) == 1 else 'are'}" if have else ""
    return ModelMissing(f"{spec.id}:{quant.name} is not on this machine{but}.", f"Run: {_command(spec, quant)}")


def _command(spec: ModelSpec, quant: Quant) -> str:
    return f"hf download {spec.repo} {quant.file} --revision {spec.revision}"
