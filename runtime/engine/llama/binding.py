"""llama.cpp's binding: the library is loaded here, its log routed, its callbacks chosen."""

from __future__ import annotations

import ctypes
import logging
import os
import threading

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger on the process

from llama_cpp import llama_cpp as c

__all__ = ["c", "forget_error", "last_error", "system_info"]

log = logging.getLogger("llamalet.llama")

_ERROR = 3  # GGML_LOG_LEVEL_ERROR
_last = threading.local()


@c.llama_log_callback  # type: ignore[untyped-decorator]
def _route_log(level: int, text: bytes, _: object) -> None:
    """llama.cpp's log goes to `logging`, all of it as debug: what matters is raised as an error by the facade."""
    message = text.decode("utf-8", "replace").rstrip()
    if level == _ERROR:
        _last.text = message
    if message:
        log.debug("%s", message)


def forget_error() -> None:
    """Call before an operation whose failure `last_error` shall explain."""
    _last.text = ""


def last_error() -> str:
    """The last thing that llama.cpp logged as an error on this thread."""
    return getattr(_last, "text", "") or "it gives no reason"


def system_info() -> str:
    """The CPU features that this llama.cpp was built with and finds, as it lists them itself."""
    return str(c.llama_print_system_info().decode("utf-8", "replace").strip(" |"))


c.llama_log_set(_route_log, ctypes.c_void_p(0))
c.llama_backend_init()
