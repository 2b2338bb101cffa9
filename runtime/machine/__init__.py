"""What the operating system is asked: cores, quotas, memory. One module a system, with the same functions in each."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from runtime.machine import facts
from runtime.machine.facts import Core, Memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

__all__ = [
    "Core",
    "Memory",
    "allowed",
    "copies_output",
    "cores",
    "features",
    "give_back",
    "hold_to",
    "memory",
    "quota",
    "resident_bytes",
    "threads",
]

_NAMES = {"win32": "windows", "darwin": "macos"}  # the others are taken for Linux, and miss files without harm


def _system() -> Any:
    return importlib.import_module(f"runtime.machine.{_NAMES.get(sys.platform, 'linux')}")


def threads() -> int:
    """How many threads to compute with. See `facts.threads` for the rule."""
    return facts.threads(cores(), allowed=allowed(), quota=quota())


def cores() -> tuple[Core, ...]:
    """The physical cores that are on."""
    return _system().cores()  # type: ignore[no-any-return]


def allowed() -> Set[int] | None:
    """The logical processors that this process may run on; None is all."""
    return _system().allowed()  # type: ignore[no-any-return]


def quota() -> float | None:
    """Processors' worth of time that this process may use; None where nothing bounds it."""
    return _system().quota()  # type: ignore[no-any-return]


def memory() -> Memory:
    """Memory, with the bounds on this process."""
    return _system().memory()  # type: ignore[no-any-return]


def copies_output() -> bool:
    """Whether this CPU is one for which llama.cpp rearranges the types that embeddings have (`runtime.fit.Room`)."""
    return _system().copies_output()  # type: ignore[no-any-return]


def features() -> Mapping[str, bool]:
    """Instruction sets, by llama.cpp's names, and whether this CPU has them; one that is not there is not known."""
    return _system().features()  # type: ignore[no-any-return]


def give_back() -> None:
    """Let the system have the memory that this process has freed, where its allocator would keep it."""
    _system().give_back()


def hold_to(more: int) -> int:
    """Bind this process to so many bytes of private memory beyond what it has now: what would be more is refused to it.
    And no core is dumped when it crashes. Gives the bound, in bytes; 0 where the system has none that would do.
    """
    return _system().hold_to(more)  # type: ignore[no-any-return]


def resident_bytes() -> int:
    """Bytes of memory that this process has in RAM, mapped files among them."""
    import psutil

    return int(psutil.Process().memory_info().rss)
