"""Who may come in: by Host, by Origin, by token. Looked at before a byte of the body is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runtime import settings
from runtime.errors import BadHeader, ConfigError, Forbidden, HeadTooLarge, LlamaletError, NoToken, WrongToken
from runtime.server import guards
from runtime.server.guards import Access
from runtime.server.tokens import Token, Tokens
from tests.servers import request, scripted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Scripted

TOKEN = "s3cret-t0ken-of-these-tests"
PAGE = "https://app.example"


def scope(
    *headers: tuple[str, str], path: str = "/ai/run/tiny", server: str = "127.0.0.1", method: str = "POST"
) -> Any:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "method": method, "path": path, "headers": raw, "server": (server, 8788)}


def verdict(found: Any, token: str | None = None, **access: Any) -> type[LlamaletError] | None:
    """What is raised for this scope."""
    if token is not None:
        access["tokens"] = Tokens((Token("", token.encode()),))
    try:
        guards.check(found, Access(**access))
    except LlamaletError as error:
        return type(error)
    return None


# -- Host ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8788", "LocalHost:1", "127.0.0.1", "127.0.0.1:8788", "[::1]", "[::1]:8788",
     "127.0.0.2", "192.168.1.8:80", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[FD00::7]:8788", "box.lan",
     "BOX.lan:80"],
)  # fmt: skip
def test_this_machines_names_and_those_of_the_setting_are_let_in(host: str) -> None:
    assert verdict(scope(("host", host)), hosts=("box.lan",)) is None


@pytest.mark.parametrize(
    "host",
    ["evil.com", "localhost.evil.com", "evil.com:8788", "localhost.", "0.0.0.0", "0.0.0.0:8788",
     "127.0.0.1.evil.com", "127.1", "2130706433", "[::]", "box.lan.evil.com",
     "xbox.lan", " localhost", "local\u00adhost", "locаlhost".encode().decode("latin-1"), "localhost\t", "localhost/"],
    ids=ascii,
)  # fmt: skip
def test_any_other_name_is_refused(host: str) -> None:
    assert verdict(scope(("host", host)), hosts=("box.lan",)) is Forbidden


@pytest.mark.parametrize(
    "host",
    ["", ":8788", "localhost:", "localhost:x", "localhost:123456", "localhost:80:80", "::1", "[::1", "::1]", "[]",
     "[localhost]", "[::1]x", "user@[::1]", "http://localhost", "[fe80::1%eth0]"],
)  # fmt: skip
def test_what_is_no_host_is_a_bad_header(host: str) -> None:
    assert verdict(scope(("host", host))) is BadHeader


def test_without_a_host_nobody_is_let_in() -> None:
    assert verdict(scope()) is BadHeader


def test_two_hosts_are_a_bad_header() -> None:
    assert verdict(scope(("host", "localhost"), ("host", "localhost"))) is BadHeader


# -- the size of the head ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "length"), [(100, 1), (2, 32_000)])
def test_a_head_as_large_as_one_may_be_is_taken(count: int, length: int) -> None:
    fields = [(f"x-{number}", "y" * length) for number in range(count - 1)]
    assert verdict(scope(("host", "localhost"), *fields)) is None


@pytest.mark.parametrize(("count", "length"), [(101, 1), (2, 32 * 1024), (90, 400)])
def test_more_headers_or_longer_ones_are_refused(count: int, length: int) -> None:
    fields = [(f"x-{number}", "y" * length) for number in range(count - 1)]
    assert verdict(scope(("host", "localhost"), *fields)) is HeadTooLarge


def test_a_long_address_is_refused_too() -> None:
    found = scope(("host", "localhost")) | {"query_string": b"q" * 32 * 1024}
    assert verdict(found) is HeadTooLarge


# -- Origin ----------------------------------------------------------------------------------------------------------


def test_who_is_no_page_is_let_in() -> None:
    assert verdict(scope(("host", "localhost")), origins=(PAGE,)) is None


@pytest.mark.parametrize("origin", [PAGE, "HTTPS://App.Example"])
def test_an_allowed_page_is_let_in(origin: str) -> None:
    assert verdict(scope(("host", "localhost"), ("origin", origin)), origins=(PAGE,)) is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    ["", "null", "file://", "https://localhost", "http://localhost:8788", "http://localhost.evil.com",
     "https://app.example.evil.com", "http://app.example", "https://app.example:8443", "https://evil.com/app.example",
     f"{PAGE}, {PAGE}"],
)  # fmt: skip
def test_any_other_page_is_refused_whatever_the_method(origin: str, method: str) -> None:
    found = scope(("host", "localhost"), ("origin", origin), method=method)
    assert verdict(found, origins=(PAGE,)) is Forbidden


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost:8788", "http://localhost:8788"), ("LocalHost:8788", "HTTP://localhost:8788"),
     ("127.0.0.1:8788", "http://127.0.0.1:8788"), ("[::1]:8788", "http://[::1]:8788"), ("box.lan", "http://box.lan")],
)  # fmt: skip
def test_the_page_of_this_server_itself_is_let_in(host: str, origin: str) -> None:
    assert verdict(scope(("host", host), ("origin", origin)), hosts=("box.lan",)) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [("localhost:8788", "http://localhost:3000"), ("localhost:8788", "http://127.0.0.1:8788"),
     ("localhost:8788", "http://localhost"), ("localhost", "http://localhost:80"),
     ("localhost:8788", "https://localhost:8788"), ("localhost:8788", "http://localhost:8788/"),
     ("localhost:8788", "http://x@localhost:8788"), ("localhost:8788", "localhost:8788"), ("localhost", "null"),
     ("127.0.0.1:8788", "http://0.0.0.0:8788"), ("evil.com:8788", "http://evil.com:8788"),
     ("0.0.0.0:8788", "http://0.0.0.0:8788"), ("localhost.evil.com:8788", "http://localhost.evil.com:8788")],
)  # fmt: skip
def test_a_page_of_another_port_scheme_or_name_or_of_a_name_rebound_to_us_is_none_of_ours(
    host: str, origin: str
) -> None:
    assert verdict(scope(("host", host), ("origin", origin))) is Forbidden


def test_behind_a_proxy_that_adds_tls_the_page_is_our_own_too() -> None:
    found = scope(("host", "box.lan"), ("origin", "https://box.lan")) | {"scheme": "https"}
    assert verdict(found, hosts=("box.lan",)) is None


def test_its_own_page_needs_the_token_like_anyone() -> None:
    own = (("host", "localhost"), ("origin", "http://localhost"))
    assert verdict(scope(*own), token=TOKEN) is NoToken
    assert verdict(scope(*own, BEARER), token=TOKEN) is None


def test_two_origins_are_a_bad_header() -> None:
    assert verdict(scope(("host", "localhost"), ("origin", PAGE), ("origin", PAGE)), origins=(PAGE,)) is BadHeader


# -- token -----------------------------------------------------------------------------------------------------------

BEARER = ("authorization", f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    "headers",
    [
        [BEARER],
        [("authorization", f"bearer   {TOKEN} ")],
        [("x-auth-key", TOKEN), ("x-auth-email", "me@example.org")],
        [("x-auth-user-service-key", TOKEN)],
        [BEARER, ("x-auth-key", "another")],
    ],
)
def test_the_token_is_taken_as_each_client_sends_it(headers: list[tuple[str, str]]) -> None:
    assert verdict(scope(("host", "localhost"), *headers), token=TOKEN) is None


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], NoToken),
        ([("x-auth-email", "me@example.org")], NoToken),
        ([("x-auth-key", "")], NoToken),
        ([("authorization", "")], BadHeader),
        ([("authorization", "Bearer")], BadHeader),
        ([("authorization", "Bearer ")], BadHeader),
        ([("authorization", TOKEN)], BadHeader),
        ([("authorization", f"Basic {TOKEN}")], BadHeader),
        ([BEARER, BEARER], BadHeader),
        ([("x-auth-key", TOKEN), ("x-auth-key", TOKEN)], BadHeader),
        ([("authorization", f"Bearer {TOKEN[:-1]}")], WrongToken),
        ([("authorization", f"Bearer {TOKEN}x")], WrongToken),
        ([("authorization", f"Bearer {TOKEN.upper()}")], WrongToken),
        ([("authorization", f"Bearer {TOKEN} {TOKEN}")], WrongToken),
        ([("authorization", f'Bearer "{TOKEN}"')], BadHeader),
        ([("authorization", "Bearer " + "x" * 30_000)], WrongToken),
        ([("authorization", "Bearer " + "x" * 1024 * 1024)], HeadTooLarge),
        ([("authorization", "Bearer tökèn\xff")], WrongToken),
        ([("x-auth-key", TOKEN[1:])], WrongToken),
        ([("x-auth-user-service-key", "é")], WrongToken),
    ],
    ids=lambda value: ascii(value)[:60],
)
def test_anything_else_is_no_token(headers: list[tuple[str, str]], error: type[LlamaletError]) -> None:
    assert verdict(scope(("host", "localhost"), *headers), token=TOKEN) is error


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/", "/playground/app.js", "/playground/style.css"])
def test_the_states_and_the_page_need_no_token(path: str) -> None:
    assert verdict(scope(("host", "localhost"), path=path), token=TOKEN) is None


@pytest.mark.parametrize(
    "path",
    ["", "//", "/healthz/", "//healthz", "/healthz/../ai/run/tiny", "/HEALTHZ", "/playground", "/playground/",
     "/playground/files", "/playground/../ai/run/x.js", "/playground//app.js", "/playground/app.js/",
     "/x/playground/app.js", "/playground/app.js\n", "/ai/run/app.js"],
)  # fmt: skip
def test_what_only_looks_like_them_needs_the_token(path: str) -> None:
    assert verdict(scope(("host", "localhost"), path=path), token=TOKEN) is NoToken


def access(folder: Path, **arguments: Any) -> Access:
    return Access.of(settings.load(arguments, env={}, folder=folder))


def secrets(found: Access) -> list[str]:
    assert found.tokens
    return [one.secret.decode() for one in found.tokens.known]


def test_without_a_setting_no_token_is_asked_for(tmp_path: Path) -> None:
    assert access(tmp_path).tokens is None


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", " \n"])
def test_the_token_is_what_its_file_holds(tmp_path: Path, ending: str) -> None:
    (tmp_path / "token").write_bytes(f"{TOKEN}{ending}".encode())
    assert secrets(access(tmp_path, token_file=tmp_path / "token")) == [TOKEN]


def test_the_token_may_be_in_a_variable(tmp_path: Path) -> None:
    found = settings.load(env={"LLAMALET_TOKEN": TOKEN}, folder=tmp_path)
    assert secrets(Access.of(found)) == [TOKEN]


def test_a_token_and_a_file_from_one_place_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both token and token_file are set"):
        access(tmp_path, token=TOKEN, token_file=tmp_path / "token")


def test_of_a_token_and_a_file_from_two_places_the_higher_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(TOKEN[::-1], "utf-8")
    found = settings.load({"token_file": tmp_path / "file"}, env={"LLAMALET_TOKEN": TOKEN}, folder=tmp_path)
    assert secrets(Access.of(found)) == [TOKEN[::-1]]


@pytest.mark.parametrize("wrong", ["x" * 15, "x" * 513, "with a space in it", "tökenwithumlauts", "tab\ttab\ttab\ttab"])
@pytest.mark.parametrize("where", ["token", "token_file"])
def test_a_token_that_cannot_be_sent_or_is_easily_guessed_is_refused_and_not_shown(
    tmp_path: Path, where: str, wrong: str
) -> None:
    (tmp_path / "file").write_text(wrong, "utf-8")
    with pytest.raises(ConfigError) as raised:
        access(tmp_path, **{where: wrong if where == "token" else tmp_path / "file"})
    place = "argument" if where == "token" else f"argument: {tmp_path / 'file'} line 1"
    assert str(raised.value).startswith(f"{place}: the token is not accepted; it takes 16 to 512 printable ASCII")
    assert wrong not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_token_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^argument: there is no token in .*token\. One is made by"):
        access(tmp_path, token_file=tmp_path / "token")


@pytest.mark.parametrize(("content", "why"), [(None, "No such file or directory."), (b"\xff" * 20, "it is not UTF-8.")])
def test_a_token_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^argument: the token file .*token cannot be read: {why}$"):
        access(tmp_path, token_file=tmp_path / "token")


def test_no_repr_shows_the_token(tmp_path: Path) -> None:
    found = settings.load({"token": TOKEN}, env={}, folder=tmp_path)
    assert TOKEN not in f"{found!r} {Access.of(found)!r}"


# -- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("models"), token=TOKEN, origins=(PAGE,)) as one:
        yield one


GOOD = {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    ("headers", "status", "code", "said"),
    [
        ({}, 400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers"),
        ({"authorization": "Bearer"}, 400, 6003, "Invalid request headers (Invalid format for Authorization header)"),
        ({"authorization": "Bearer wrong"}, 401, 10000, "Authentication error"),
        (GOOD | {"origin": "null"}, 403, 9109, "Unauthorized to access requested resource"),
        (GOOD | {"host": "evil.com"}, 403, 9109, "Unauthorized to access requested resource"),
        (GOOD | {"host": ""}, 400, 6003, "Invalid request headers"),
    ],
)
def test_whoever_is_refused_reads_why(
    locked: Scripted, headers: dict[str, str], status: int, code: int, said: str
) -> None:
    reply = locked.ask(headers=headers)
    error = reply.json()["errors"][0]
    assert (reply.status_code, error["code"], reply.json()["result"]) == (status, code, None)
    assert error["message"].startswith(said)
    assert TOKEN not in reply.text


def test_whoever_has_the_token_is_answered(locked: Scripted) -> None:
    assert locked.ask(headers=GOOD).json()["result"]["response"] == "ok"


def test_nobody_waits_for_the_body_of_a_request_without_the_token(locked: Scripted) -> None:
    with locked.connection() as connection:
        connection.sendall(request(b"x" * 1000)[:-999])  # the rest never comes
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_nobody_waits_for_the_body_of_a_request_with_a_wrong_token(locked: Scripted) -> None:
    with locked.connection() as connection:
        connection.sendall(request(b"x" * 1000, f"Authorization: Bearer {TOKEN[:-1]}")[:-999])
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")


def test_no_body_is_asked_for_without_the_token(locked: Scripted) -> None:
    with locked.connection() as connection:
        connection.sendall(request(b"x", "Expect: 100-continue")[:-1])
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_whoever_sends_the_body_all_the_same_can_go_on(locked: Scripted) -> None:
    assert locked.ask(content=b"x" * 300_000).status_code == 400
    assert locked.ask(headers=GOOD).status_code == 200


def test_a_token_longer_than_any_head_is_refused(locked: Scripted) -> None:
    with locked.connection() as connection:
        connection.sendall(request(b"", f"Authorization: Bearer {'x' * 40_000}"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_states_are_told_to_anyone(locked: Scripted, path: str) -> None:
    assert locked.http.get(path).status_code == 200


PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


def test_an_allowed_pages_preflight_is_granted(locked: Scripted) -> None:
    reply = locked.http.options("/ai/run/tiny", headers=PREFLIGHT | {"origin": PAGE})
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "authorization" in reply.headers["access-control-allow-headers"]


@pytest.mark.parametrize("headers", [{}, GOOD])
def test_an_allowed_page_may_read_the_answer_and_the_refusal(locked: Scripted, headers: dict[str, str]) -> None:
    assert locked.ask(headers=headers | {"origin": PAGE}).headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", ["https://evil.com", "null"])
def test_no_other_page_is_granted_anything(locked: Scripted, origin: str) -> None:
    replies = [
        locked.http.options("/ai/run/tiny", headers=PREFLIGHT | {"origin": origin}),
        locked.ask(headers=GOOD | {"origin": origin}),
    ]
    assert [reply.is_success for reply in replies] == [False, False]
    assert ["access-control-allow-origin" in reply.headers for reply in replies] == [False, False]


@pytest.mark.parametrize("path", ["/ai/run/tiny", "/metrics", "/healthz", "/nowhere"])
def test_without_the_setting_no_page_is_granted_a_preflight(tmp_path: Path, path: str) -> None:
    with scripted(tmp_path / "models") as server:
        reply = server.http.options(path, headers=PREFLIGHT | {"origin": PAGE})
        simple = server.http.get(path, headers={"origin": PAGE})
    assert [reply.status_code, simple.status_code] == [403, 403]
    granted = [name for one in (reply, simple) for name in one.headers if name.startswith("access-control-")]
    assert granted == []
