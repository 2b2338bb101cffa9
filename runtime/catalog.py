"""The models that can be asked for by name: those of `models.toml`, and those of the user's own file.

A name is looked up here and nowhere else; none ever becomes part of a path. The key tables below are the format of
both files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import tomlfile
from runtime.errors import ConfigError, UnknownAdapter, UnknownModel
from runtime.tomlfile import Key, Table, shown, suggestion, switch, text, whole
from runtime.values import FAMILIES, Shape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from os import PathLike

PREFIX = "@cf/meta/"  # of Workers AI; a name may leave it out
LIST_HINT = "`llamalet list` shows every model."


@dataclass(frozen=True, slots=True)
class Quant:
    """One file of a model: `file` within the repository, `size` in bytes, `sha256` in lower-case hex digits; `mirrors`
    that have the same bytes, in the order in which to try them."""

    name: str
    file: str
    size: int | None = None
    sha256: str | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: a GGUF file on this machine. `scale` 1 is the strength it was trained with."""

    name: str
    path: Path
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model without its file.

    context_window: tokens of prompt and answer together; None is whatever the file says it was trained on.
    kv_bytes_per_token: of an f16 cache; None is to be worked out from the file, as is the shape.
    quants: at least one; the order is that of preference where `default_quant` is not on the machine.
    path: the file itself, for a model that is in no repository.
    """

    id: str
    quants: tuple[Quant, ...]
    default_quant: str
    aliases: tuple[str, ...] = ()
    family: str = "llama3.2"  # the newer; for chats without tools both write the same
    parameters: str = ""
    context_window: int | None = None
    kv_bytes_per_token: int | None = None
    shape: Shape | None = None
    licence: str = ""
    notice: str = ""
    repo: str = ""
    revision: str = "main"  # the hub's own default
    path: Path | None = None
    adapters: tuple[Adapter, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the model answers to, without the prefix."""
        return tuple(_short(name) for name in (self.id, *self.aliases))

    def quant(self, name: str) -> Quant:
        """The quant of that name, in any case. Raises UnknownModel naming those there are."""
        for quant in self.quants:
            if quant.name.lower() == name.lower():
                return quant
        have = ", ".join(quant.name for quant in self.quants)
        raise UnknownModel(f"{self.id} has no quant {shown(name)}.", f"There are {have}.", model=f"{self.id}:{name}")

    def adapter(self, name: str) -> Adapter:
        """The adapter of that name, in any case. Raises UnknownAdapter with the nearest."""
        for adapter in self.adapters:
            if adapter.name == name.lower():
                return adapter
        names = [adapter.name for adapter in self.adapters]
        hint = suggestion(name, names) if names else "The user's models file names none for this model."
        raise UnknownAdapter(f"{self.id} has no LoRA adapter {shown(name)}.", hint, model=self.id)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a name means: a model, and a quant where the name says one."""

    spec: ModelSpec
    quant: Quant | None = None

    @property
    def label(self) -> str:
        return f"{self.spec.id}:{self.quant.name if self.quant else ''}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every model, the built-in ones first, in the order of the files."""

    models: tuple[ModelSpec, ...]

    def with_files(self, files: Iterable[str | PathLike[str]]) -> Catalog:
        """These and GGUF files that are asked for by their path, just as it is written here, or by their name."""
        return Catalog((*self.models, *(_file_model(os.fspath(file)) for file in files)))

    def find(self, name: str) -> Choice:
        """The model of that id or alias, in any case, with or without `@cf/meta/`, with or without `:QUANT`.

        Raises UnknownModel with the nearest names, or with the quants there are.
        """
        named = {key: spec for spec in self.models for key in spec.names}
        if spec := named.get(_short(name)):
            return Choice(spec)
        base, _, quant = name.rpartition(":")
        if spec := named.get(_short(base)):
            return Choice(spec, spec.quant(quant))
        nearest = suggestion(_short(name), named)
        raise UnknownModel(f"There is no model {shown(name)}.", f"{nearest} {LIST_HINT}", model=name)


def _name(what: str) -> tomlfile.Kind[str]:
    return text(
        f"{what} of at most 128 of the characters a-z 0-9 @ / . _ -, without .. and not beginning with . _ or -",
        r"(?!.*\.\.)[a-z0-9@/][a-z0-9@/._-]{0,127}",
        str.lower,
    )


_WORDS = text("text on one line", r"[^\x00-\x1f\x7f]+")
_SIZE = Key(whole(1, unit="(bytes)"))
_SHA256 = Key(text("64 hexadecimal digits", r"[0-9a-f]{64}", str.lower))
# What the hub accepts (its validate_repo_id and paths), and nothing that a shell would read otherwise.
_HUB_FILE = Key(
    text("a .gguf file's path in the repository", r"(?!.*\.\.)\w[\w.+-]*(/[\w.+-]+)*\.gguf"),
    required=True,
)
_HUB = {
    "repo": Key(
        text("a repository, owner/name", r"(?!.*(--|\.\.|\.git$))\w([\w.-]*\w)?/\w([\w.-]{0,94}\w)?"), required=True
    ),
    "revision": Key(text("a commit, tag or branch", r"(?!.*\.\.)\w[\w./-]*")),
}
_CHECKS = {"size": _SIZE, "sha256": _SHA256}
_MIRROR = text("hf:owner/repo@revision/file.gguf or a URL", r"(hf:|https?://)[\w.:/@%+?=&~-]+")

QUANT_KEYS: Mapping[str, Key] = {"file": _HUB_FILE, **_CHECKS, "mirrors": Key(tomlfile.several(_MIRROR))}
MODEL_KEYS: Mapping[str, Key] = {
    "id": Key(_name("an id"), required=True),
    "aliases": Key(tomlfile.several(_name("a name"))),
    "family": Key(tomlfile.choice(*FAMILIES)),
    "parameters": Key(_WORDS),
    "context_window": Key(whole(1, unit="(tokens)")),
    "kv_bytes_per_token": Key(whole(1, unit="(bytes)")),
    "shape": Key(tomlfile.Kind("a table", lambda value: isinstance(value, dict), dict)),
    "licence": Key(_WORDS),
    "notice": Key(_WORDS),
}
SHAPE_KEYS = {name: Key(switch() if name == "tied" else whole(1), required=True) for name in Shape.__slots__}
# A model has exactly one of these; the first key found decides which others belong to it.
SOURCE_KEYS: Mapping[str, Mapping[str, Key]] = {
    "path": {"path": Key(tomlfile.file_path("the path of a GGUF file")), **_CHECKS},
    "file": {**_HUB, **QUANT_KEYS},
    "quants": {**_HUB, "quants": Key(tomlfile.table_of_tables()), "default_quant": Key(_WORDS, required=True)},
}
ADAPTER_KEYS: Mapping[str, Key] = {
    "name": Key(_name("a name"), required=True),
    "path": Key(tomlfile.file_path("the path of a GGUF file"), required=True),
    "models": Key(tomlfile.several(_name("a model's name"))),
    "scale": Key(tomlfile.number(-100, 100)),  # further out is a slip of the pen, and NaN is outside too
}


def data_file(name: str) -> Path:
    """Where `models.toml` or `grammars` is: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    for path in (package / "data" / name, package.parent / name):
        if path.exists():
            return path
    raise ConfigError(f"{package / 'data' / name} is missing.", "Install llamalet again.")


def load(user_file: Path | None = None) -> Catalog:
    """The built-in models and those of the user's file. Raises ConfigError with file, line and key."""
    models = _models(tomlfile.read(data_file("models.toml")), ())
    if user_file is None:
        return Catalog(models)
    root = tomlfile.read(user_file.absolute())  # paths in it still hold after a change of folder
    root.refuse_unknown(("model", "adapter"))
    return Catalog(_with_adapters(root, _models(root, models)))


def _models(root: Table, known: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
    """`known` and the models of a file. Raises ConfigError where a name has its model already."""
    taken = {name: spec.id for spec in known for name in spec.names}
    models = list(known)
    for table in root.tables("model"):
        spec = _model(table)
        for name, key in zip(spec.names, ("id", *("aliases" for _ in spec.aliases)), strict=True):
            if name in taken:
                raise table.error(f"{name} is a name of {taken[name]} already.", key, hint="Choose another name.")
            taken[name] = spec.id
        models.append(spec)
    return tuple(models)


def _model(table: Table) -> ModelSpec:
    source = next((key for key in SOURCE_KEYS if key in table.values), None)
    if source is None:
        raise table.error("has no file: give path, or repo with file, or repo with quants.")
    values = table.read({**MODEL_KEYS, **SOURCE_KEYS[source]})
    if "shape" in values:
        values["shape"] = Shape(**table.table("shape").read(SHAPE_KEYS))
    if source == "quants":
        values["quants"] = _quants(table)
        _check_default(table, values)
    else:
        values |= _single(table, values)
    return ModelSpec(**values)


def _quants(table: Table) -> tuple[Quant, ...]:
    quants = table.table("quants")
    return tuple(_quant(quants.table(name), name, quants.table(name).read(QUANT_KEYS)) for name in quants.values)


def _quant(table: Table, name: str, values: dict[str, Any]) -> Quant:
    if values.get("mirrors") and not {"size", "sha256"} <= values.keys():
        raise table.error("takes size and sha256 too: else nobody knows whether the bytes are the same.", "mirrors")
    return Quant(name, **values)


def _check_default(table: Table, values: Mapping[str, Any]) -> None:
    names = [quant.name for quant in values["quants"]]
    if values["default_quant"] not in names:
        raise table.error(f"{shown(values['default_quant'])} is not among the quants.", "default_quant")


def _single(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a model that is one file, whose quant is named as the file's name ends."""
    where: dict[str, Any] = {}
    if "path" in values:
        where["path"] = table.path.parent / values["path"]
        values["file"] = where["path"].name
    given = {key: values.pop(key) for key in QUANT_KEYS if key in values}
    quant = _quant(table, quant_name(given["file"]), given)
    return {**where, "quants": (quant,), "default_quant": quant.name}


def _file_model(file: str) -> ModelSpec:
    path = Path(file).expanduser()
    quant = Quant(quant_name(path.name), path.name)
    return ModelSpec(id=file, aliases=(path.name,), quants=(quant,), default_quant=quant.name, path=path)


def quant_name(file: str) -> str:
    """The quant that a file name such as `Llama-3.2-1B-Instruct-Q4_K_M.gguf` ends on, or GGUF."""
    found = re.search(r"(?:^|[-._/])((?:I?Q|TQ|BF|F)[0-9][0-9A-Z_]*)\.gguf$", file, re.IGNORECASE)
    return found[1].upper() if found else "GGUF"


def _with_adapters(root: Table, models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
    """The models, each with the file's adapters that name it, or name none."""
    catalog, specs = Catalog(models), {spec.id: spec for spec in models}
    seen: set[str] = set()
    for table in root.tables("adapter"):
        values = table.read(ADAPTER_KEYS)
        if values["name"] in seen:
            raise table.error(f"{values['name']} is the name of another adapter already.", "name")
        seen.add(values["name"])
        ids = _adapted(table, catalog, values.pop("models", specs))
        adapter = Adapter(**values | {"path": table.path.parent / values["path"]})
        for key in ids:
            specs[key] = replace(specs[key], adapters=(*specs[key].adapters, adapter))
    return tuple(specs.values())


def _adapted(table: Table, catalog: Catalog, names: Iterable[str]) -> list[str]:
    """The ids of the models that an adapter is for."""
    try:
        return list(dict.fromkeys(catalog.find(name).spec.id for name in names))
    except UnknownModel as wrong:
        raise table.error(wrong.message, "models", hint=wrong.hint) from None


def _short(name: str) -> str:
    return name.lower().removeprefix(PREFIX)
