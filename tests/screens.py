"""A screen that nobody sees, for programs with windows."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

XVFB = shutil.which("Xvfb")


@contextlib.contextmanager
def screen(size: str = "800x600") -> Iterator[str]:
    """The name of a display of its own, such as ":99". It takes no connections over the network."""
    reader, writer = os.pipe()
    command = [XVFB or "Xvfb", "-displayfd", str(writer), "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as process:
        os.close(writer)
        try:
            with os.fdopen(reader) as told:  # once it is there
                yield f":{told.readline().strip()}"
        finally:
            process.terminate()
