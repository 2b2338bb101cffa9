"""What commands find around them, and how they tell of trouble and of waiting."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runtime.errors import InvalidRequest

if TYPE_CHECKING:
    from runtime.errors import LlamaletError


@dataclass
class Scene:
    """options: more of them for `Runtime`. interactive: somebody can be asked."""

    options: dict[str, Any] = field(default_factory=dict)
    interactive: bool = field(default_factory=lambda: sys.stdin.isatty())


def scene() -> Scene:
    """That of the command that runs."""
    return click.get_current_context().find_object(Scene) or Scene()


def complain(error: LlamaletError) -> None:
    start = "\r\x1b[K" if sys.stderr.isatty() else ""  # in place of a line that told of loading
    click.echo(f"{start}llamalet: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), err=True)


def files(model: str) -> list[str]:
    """The file that a model's name is, if it is one."""
    return [model] if model.lower().endswith(".gguf") else []


def load_line(done: float) -> None:
    """One line on a terminal, which goes away when the model is there."""
    click.echo("\r\x1b[K" if done >= 1 else f"\rloading {done:4.0%}", err=True, nl=False)


def read_json(file: str) -> Any:
    """The JSON in a file. Raises `InvalidRequest` with the place where it is none."""
    from runtime.wire import envelope

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as wrong:
        raise InvalidRequest(f"{file} cannot be read: {wrong.strerror}.") from None
    try:
        return envelope.decode(data)
    except InvalidRequest as wrong:
        raise InvalidRequest(f"{file}: {wrong.message.replace('The body', 'it')}", wrong.hint) from None
