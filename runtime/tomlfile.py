"""TOML files that know their lines.

`read` gives the root `Table` of a file. A `Table` checks its keys against a mapping of `Key`s, and every complaint is
a `ConfigError` that names file, line and key. What a value may be is a `Kind`, which serves environment variables and
arguments too.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Place = tuple[str | int, ...]  # the way from the root to a value: keys, and indexes into arrays

_SHOWN = 80  # characters of a wrong value that a message repeats: a whole sha256, not a whole pasted file


@dataclass(frozen=True, slots=True)
class Kind(Generic[T_co]):
    """What a value may be: `test` tells, `convert` makes the thing of it, `accepts` is the same in words.

    `decode` turns text without types (environment, command line) into what a TOML file would hold.
    """

    accepts: str
    test: Callable[[Any], object]
    convert: Callable[[Any], T_co]
    decode: Callable[[str], object] = str

    def read(self, value: object) -> T_co:
        """The thing. Raises ValueError with the value and what is accepted."""
        if not self.test(value):
            raise ValueError(f"{shown(value)} is not accepted; it takes {self.accepts}.")
        return self.convert(value)

    def read_text(self, text: str) -> T_co:
        """The same for text without types."""
        try:
            value = self.decode(text)
        except ValueError:
            value = text
        return self.read(value)


def whole(low: int, high: int | None = None, unit: str = "") -> Kind[int]:
    """A whole number from `low` to `high`. True, though an `int` in Python, is none."""
    bounds = f"from {low}" if high is None else f"from {low} to {high}"
    return Kind(
        accepts=f"a whole number {bounds} {unit}".rstrip(),
        test=lambda value: type(value) is int and low <= value and (high is None or value <= high),
        convert=int,
        decode=int,
    )


def number(low: float, high: float) -> Kind[float]:
    """A number from `low` to `high`; NaN is outside of any bounds."""
    return Kind(
        accepts=f"a number from {low:g} to {high:g}",
        test=lambda value: type(value) in (int, float) and low <= value <= high,
        convert=float,
        decode=float,
    )


def text(accepts: str, pattern: str, convert: Callable[[str], str] = str) -> Kind[str]:
    """Text that `pattern` (where \\w is ASCII) matches from end to end once `convert` has been applied."""
    whole_text = re.compile(pattern, re.ASCII).fullmatch
    return Kind(accepts, lambda value: isinstance(value, str) and whole_text(convert(value)), convert)


def choice(*names: str) -> Kind[str]:
    """One of `names`, in any case."""
    return Kind(" or ".join(names), lambda value: isinstance(value, str) and value.lower() in names, str.lower)


def several(kind: Kind[T]) -> Kind[tuple[T, ...]]:
    """A list of things of one kind; as text, with commas between them."""
    return Kind(
        accepts=f"a list, each of it {kind.accepts}",
        test=lambda value: isinstance(value, list | tuple) and all(map(kind.test, value)),
        convert=lambda value: tuple(map(kind.convert, value)),
        decode=lambda text: [kind.decode(item.strip()) for item in text.split(",") if item.strip()],
    )


def switch() -> Kind[bool]:
    """On or off."""
    words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "on": True, "off": False}
    return Kind(
        accepts="true or false",
        test=lambda value: isinstance(value, bool),
        convert=bool,
        decode=lambda text: words.get(text.lower(), text),
    )


def file_path(accepts: str) -> Kind[Path]:
    """A path, as text or as what Python calls one, with a leading ~ made the home folder."""
    return Kind(
        accepts,
        test=lambda value: isinstance(value, str | os.PathLike) and value and "\0" not in os.fspath(value),
        convert=lambda value: Path(os.path.expanduser(value)),  # which, unlike Path's, leaves an unknown ~name alone
    )


def table_of_tables() -> Kind[dict[str, Any]]:
    """A table whose entries are tables."""
    return Kind(
        accepts="a table of tables",
        test=lambda value: isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()),
        convert=dict,
    )


@dataclass(frozen=True, slots=True)
class Key:
    """A key that a table may have."""

    kind: Kind[Any]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a file: its values, and the place it has in the file."""

    path: Path
    source: str
    values: Mapping[str, Any]
    place: Place = ()

    def read(self, keys: Mapping[str, Key]) -> dict[str, Any]:
        """The values that are there, each as its key's kind. Raises ConfigError for an unknown, missing or bad one."""
        self.refuse_unknown(keys)
        for name, key in keys.items():
            if key.required and name not in self.values:
                raise self.error(f"the key {name} is missing; it takes {key.kind.accepts}.")
        return {name: self.value(name, keys[name].kind) for name in self.values}

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Raise ConfigError for the first key that is not in `known`, with the nearest that is."""
        names = list(known)
        for name in self.values:
            if name not in names:
                raise self.error("is not a key known here.", name, hint=suggestion(name, names))

    def value(self, name: str, kind: Kind[T]) -> T:
        """The value of a key that is there. Raises ConfigError."""
        try:
            return kind.read(self.values[name])
        except ValueError as wrong:
            raise self.error(str(wrong), name) from None

    def table(self, name: str) -> Table:
        """The table of that name, whose kind is `table_of_tables`."""
        return Table(self.path, self.source, self.values[name], (*self.place, name))

    def tables(self, name: str) -> list[Table]:
        """Every `[[name]]` in order; none where there is no such key. Raises ConfigError where it is something else."""
        entries = self.values.get(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise self.error(f"is not accepted so; each begins with [[{name}]].", name)
        return [Table(self.path, self.source, entry, (*self.place, name, n)) for n, entry in enumerate(entries)]

    def line(self, name: str | None = None) -> int:
        """The line, from 1, of that key; of the table itself where it has no such key or none is asked for."""
        lines = positions(self.source)
        place = self.place if name is None else (*self.place, name)
        while place and place not in lines:
            place = place[:-1]
        return lines.get(place, 1)

    def error(self, message: str, name: str | None = None, *, hint: str | None = None) -> ConfigError:
        """A complaint about a key, or about the whole table, to be raised."""
        keys = [part for part in (*self.place, name) if isinstance(part, str)]
        subject = f"{'.'.join(keys)}: " if keys else ""
        return ConfigError(f"{self.path} line {self.line(name)}: {subject}{message}", hint)


def read(path: Path) -> Table:
    """The root table of the file. Raises ConfigError where it cannot be read, or is no TOML."""
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as wrong:
        raise ConfigError(f"{path}: cannot be read: {getattr(wrong, 'strerror', None) or wrong}.") from wrong
    try:
        source = content.decode("utf-8-sig").replace("\r\n", "\n")  # -sig: editors on Windows begin a file with a BOM
        return Table(path, source, tomllib.loads(source))
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise ConfigError(f"{path} line {line}: byte 0x{content[wrong.start]:02x} is no UTF-8.") from None
    except RecursionError:
        raise ConfigError(f"{path}: its values are nested too deeply.") from None
    except tomllib.TOMLDecodeError as wrong:
        raise ConfigError(f"{path} line {_bad_line(source, str(wrong))}: no valid TOML: {wrong}.") from None


def _bad_line(source: str, complaint: str) -> int:
    """Where the parser stopped. Its message says "(at line 3, column 5)" or "(at end of document)"."""
    found = re.search(r"at line (\d+)", complaint)
    return int(found[1]) if found else source.rstrip("\n").count("\n") + 1


def positions(source: str) -> dict[Place, int]:
    """The line on which each key of a valid document begins; values inside an array begin where the array does.

    tomllib tells no lines. But it can say where a statement ends, a header or `key = value`: at the first line end up
    to which it parses alone. What it holds then tells the place, with the arrays of tables counted along the way.
    """
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    here: Place = ()
    for line, header, content in _statements(source):
        if header:
            here = _enter(content, counts)
            for depth in range(1, len(here) + 1):
                lines.setdefault(here[:depth], line)
        else:
            for place in _places(content, here):
                lines.setdefault(place, line)
    return lines


def _statements(source: str) -> Iterator[tuple[int, bool, dict[str, Any]]]:
    """(line, is it a header, what it parses to alone) of every header and `key = value`."""
    start, pending = 1, ""
    for end, line in enumerate(source.split("\n"), start=1):
        pending += line + "\n"
        try:
            content = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue  # an array or a text over several lines goes on
        if content:
            yield start, pending.lstrip().startswith("["), content
        start, pending = end + 1, ""


def _enter(header: Any, counts: dict[Place, int]) -> Place:
    """The place that a header opens. `counts` has the index of the table now open in each array of tables."""
    place: Place = ()
    while header and isinstance(header, dict):
        ((name, header),) = header.items()
        place = (*place, name)
        if isinstance(header, list):
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _places(value: object, place: Place) -> Iterator[Place]:
    """`place` and those of everything inside the value."""
    yield place
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _places(entry, (*place, name))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _places(entry, (*place, index))


def shown(value: object) -> str:
    """The value as a message may repeat it: short, and without line breaks or control characters."""
    words = repr(value)
    return words if len(words) <= _SHOWN else words[: _SHOWN - 3] + "..."


def suggestion(word: str, known: Iterable[str]) -> str:
    """A hint with the nearest of the known names, or with all where none is near."""
    names = {name.lower(): name for name in known}
    near = [names[key] for key in difflib.get_close_matches(word[:_SHOWN].lower(), names)]
    return f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(names.values())}."
