"""Models of the user's own from the hub: `hf:owner/repo/file.gguf`, written into the user's models file."""

from __future__ import annotations

import json
import os
import re
import uuid
from typing import TYPE_CHECKING

from runtime import catalog
from runtime.catalog import ModelSpec, Quant
from runtime.errors import ConfigError, ModelBroken, ModelMissing
from runtime.store import hub
from runtime.store.delivery import pull

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.store.progress import Progress, Pulled

PREFIX = "hf:"
_FORM = "hf:owner/repo/file.gguf, or hf:owner/repo@revision/file.gguf"


def add(
    text: str,
    file: Path,
    *,
    name: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    offline: bool = False,
    cache: Path | None = None,
) -> tuple[ModelSpec, Pulled]:
    """Pull a GGUF file of any repository, and write it into the user's models file with what came.

    text: `hf:owner/repo/file.gguf`, with `@revision` after the repository if it shall not be `main`, which is what the
    cache knows as that, or else the newest. Commit, size and sha256 are recorded: the same bytes are meant ever after.
    file: the models file; made if it is not there. name: by which it is asked for; default: the file's own.
    Raises ConfigError for a text of another form, or a name that another model has, before anything is fetched; else
    what `pull` raises.
    """
    found = hub.parse(text)
    if found is None or not found[2].lower().endswith(".gguf"):
        raise ConfigError(f"{text} is no file of the hub.", f"Write {_FORM}.")
    repo, revision, path = found
    known = catalog.load(file if file.exists() else None)
    for spec, quant in ((one, quant) for one in known.models for quant in one.quants):
        if (spec.repo, quant.file, name or spec.id) == (repo, path, spec.id) and revision in ("main", spec.revision):
            return spec, pull(spec, quant, progress=progress, offline=offline, cache=cache)
    name = (name or _name(path)).lower()
    _check_free(known, name)
    label = catalog.quant_name(path)
    spec = ModelSpec(name, (Quant(label, path),), label, repo=repo, revision=revision)
    try:
        pulled = pull(spec, progress=progress, offline=offline, cache=cache)
    except (ModelBroken, ModelMissing) as wrong:  # there is no such model yet, by whose name to pull it again
        raise type(wrong)(wrong.message, f"Run: llamalet pull {text}") from wrong
    # .../snapshots/<commit>/<file>
    commit = pulled.path.parts[-1 - len(path.split("/"))]
    entry = {"id": name, "repo": repo, "revision": commit, "file": path, "size": pulled.size, "sha256": pulled.sha256}
    try:
        _append(file, entry)
    except OSError as wrong:
        problem = f"{text} has come, but {file} cannot be written: {wrong.strerror or wrong}."
        raise ConfigError(problem, "Mend that and pull again, or name another models file: --models FILE.") from wrong
    return catalog.load(file).find(name).spec, pulled


def _name(path: str) -> str:
    """A name for a model that is this file."""
    plain = re.sub(r"[^a-z0-9@/._-]", "-", path.rpartition("/")[2].lower().removesuffix(".gguf"))
    return re.sub(r"\.\.+", ".", plain).lstrip("._-")[:128] or "model"


def _check_free(known: catalog.Catalog, name: str) -> None:
    for spec in known.models:
        if name in (spec.id, *spec.names):
            raise ConfigError(f"{name} is a name of {spec.id} already.", "Choose another: --name NAME.")


def _append(file: Path, entry: dict[str, object]) -> None:
    """Put a `[[model]]` at the end of the file, whose text stays as it is, comments and all."""
    text = file.read_text("utf-8") if file.exists() else ""
    # JSON's strings and numbers are TOML's too.
    block = "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items() if value)
    file = file.resolve()  # it may be a link to where somebody keeps such files
    new = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        new.write_text(f"{text.rstrip()}\n\n[[model]]\n{block}".lstrip(), "utf-8")
        catalog.load(new)  # nothing is replaced by what cannot be read
        os.replace(new, file)
    finally:
        new.unlink(missing_ok=True)
