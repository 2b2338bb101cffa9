"""Names that would be paths, or devices, or no text at all, in every place that takes a name: none opens a file."""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers import ACCOUNT, Scripted, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = "x" * 4096
# As they are; in an address, percent signs stand as they are here, so that what is encoded is decoded once.
NAMES = [
    "../x", "..", ".", "/", "//", "/etc/passwd", "~/x", "tiny/../x", "tiny.gguf", "./tiny", "tiny/", "tales.gguf",
    "..\\x", "C:\\x", "\\\\host\\x", "C:/x", "file:///etc/passwd", "hf:me/models/x.gguf", "http://evil.com/x",
    "%2e%2e%2fx", "%2e%2e/x", "..%2fx", "%252e%252e%252fx", "%2fetc%2fpasswd", "..%5cx", "%c0%ae%c0%ae/x",
    "a%00b", "%00", "tiny%00", "tiny%00.gguf", "a%0d%0ab", "%ff%fe", "%ed%a0%80", "tiny%20", "%0a", "%7f", "%1b[2J",
    "CON", "con", "NUL", "nul.gguf", "COM1", "LPT1.txt", "aux", "PRN:", "tiny:stream", "tiny::$DATA",
    "@cf/../", "@cf/../tiny", "@cf/meta/../../tiny", "@cf/", "@cf/meta/", "@hf/x/y", "@", "@cf//tiny",
    "\u2024\u2024/x", "\uff0e\uff0e/x", "\uff0e\uff0e\uff0fx", "\u2025/x", "\u00b7\u00b7/x", "..\u2215x", "..\u2044x",
    "ti\u0301ny", "t\u0456ny", "tiny\u200b", "\u202etiny", "\ufefftiny", "tiny\u2028", "\U0001f999",
    "$HOME", "${HOME}", "`id`", "$(id)", "{0}", "%s%s%n", "*", "?", "[a-z]*", "-", "--help", "tiny;x", "tiny|x", "'",
    '"', LONG, "../" * 1365, "/" * 4096, "." * 4096, "%2e%2e%2f" * 400,
]  # fmt: skip

_opened: list[Any] | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _opened is None or threading.current_thread() is threading.main_thread():  # which is the client's here
        return
    if event in ("open", "os.listdir", "os.scandir", "subprocess.Popen", "socket.getaddrinfo"):
        _opened.append((event, args[0]))


sys.addaudithook(_hook)  # it can never be taken away again, and does nothing while nobody looks


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models")) as one:
        for _ in range(2):  # what is opened once only is opened now
            for name in ("tiny", "nothing"):
                ask_everywhere(one, name)
        yield one


@pytest.fixture
def opened() -> Iterator[list[Any]]:
    """What is opened meanwhile, in any thread."""
    global _opened
    _opened = []
    yield _opened
    _opened = None


def ask_everywhere(server: Scripted, name: str) -> list[tuple[int, Any]]:
    """What is answered where this is a model's name, then an adapter's."""
    bodies = [
        ("/ai/run/tiny", {"prompt": "Hi", "lora": name}),
        ("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/completions", {"model": name, "prompt": "Hi"}),
        ("/v1/responses", {"model": name, "input": "Hi"}),
        ("/ai/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": "Hi"}]}),
    ]
    replies = [server.ask(body, path) for path, body in bodies]
    replies.append(server.http.get("/ai/models/schema", params={"model": name}))
    return [(reply.status_code, reply.json()) for reply in replies]


def in_address(server: Scripted, name: str) -> list[tuple[int, Any]]:
    """What is answered where this is written into an address as it is, but for what no address may have in it."""
    path = "".join(one if "!" <= one <= "~" else "".join(f"%{byte:02X}" for byte in one.encode()) for one in name)
    prefixes = ("/ai/run/", f"/client/v4/accounts/{ACCOUNT}/ai/run/")
    return [server.post(prefix + path) for prefix in prefixes]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_a_name_that_is_none_is_refused_everywhere_and_opens_nothing(
    server: Scripted, name: str, opened: list[Any]
) -> None:
    answers = ask_everywhere(server, name)
    seen = list(opened)
    assert {status for status, _ in answers} <= {400, 404, 405}, answers
    assert all(len(json.dumps(told)) < 3000 for _, told in answers)
    assert seen == []


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_an_address_that_names_none_is_refused_and_opens_nothing(
    server: Scripted, name: str, opened: list[Any]
) -> None:
    answers = in_address(server, name)
    seen = list(opened)
    assert {status for status, _ in answers} <= {400, 404}, answers
    assert seen == []


def test_the_hook_sees_what_is_opened(opened: list[Any]) -> None:
    thread = threading.Thread(target=lambda: open(__file__).close())
    thread.start()
    thread.join()
    assert ("open", __file__) in opened
