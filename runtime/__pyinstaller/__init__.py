"""What PyInstaller asks of installed packages: where their hooks are. See docs/desktop.md."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """The entry point `hook-dirs` of `pyinstaller40`."""
    return [str(Path(__file__).parent)]
