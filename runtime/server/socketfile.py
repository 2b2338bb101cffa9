"""A socket that is a file, where the system has such: only the user who made it can connect."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 1.0  # until one that takes no connection counts as one that somebody listens at


class SocketFile(socket.socket):
    """Listens at a file, which goes away when it is closed, unless it has become another's since."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path, self._inode = os.path.abspath(path), 0
        try:
            self.bind(self._path)
            self._inode = os.lstat(self._path).st_ino
            os.chmod(self._path, 0o600)  # nobody can connect before `listen`, so nobody slips in before this
            self.listen()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close it, and remove its file."""
        inode, self._inode = self._inode, 0
        super().close()
        with contextlib.suppress(OSError):
            if inode and os.lstat(self._path).st_ino == inode:
                os.unlink(self._path)


def open_at(path: Path, origin: str) -> SocketFile:
    """Listen at this file; one that a server left behind is replaced. Raises `ConfigError`; origin: of the setting."""
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigError(f"{origin}: this system has no Unix sockets.", "Give --host and --port in its place.")
    try:
        if _is_left_behind(path, origin):
            path.unlink()
        return SocketFile(path)
    except OSError as wrong:
        raise ConfigError(f"{origin}: cannot listen at {path}: {wrong.strerror or wrong}.") from None


def _is_left_behind(path: Path, origin: str) -> bool:
    """Whether it is there and nobody listens. Raises `ConfigError` when somebody does, or it is something else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"{origin}: {path} is there, and is no socket.", "Name a file that is not there.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(SECONDS)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            return False
        except OSError:  # it may not be ours, or have a full queue: somebody's it is
            pass
    raise ConfigError(f"{origin}: another program listens at {path} already.", "Name another file.")
