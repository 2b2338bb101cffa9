"""`llamalet ps`: what a server that runs has in memory."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import click

from runtime import settings
from runtime.errors import ConfigError, NoServer, WrongToken
from runtime.fit import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.settings import Settings

SECONDS = 10.0  # a server that is there answers at once
_COLUMNS = ("MODEL", "QUANT", "MEMORY", "CONTEXT", "REQUESTS", "UNLOADS")
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nobody listens here: where a server is that does


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: bytes and seconds.")
@click.option("--url", metavar="URL", help="Of the server, or unix:FILE. [default: as in the settings]")
@click.option("--token-file", metavar="FILE", help="File with the token that the server asks for.")
def ps(as_json: bool, url: str | None, token_file: str | None) -> None:
    """List the models that a running server has in memory: what they take, what they answer, and when they go."""
    chosen = settings.load({"token_file": token_file})
    rows = loaded((url or _address(chosen)).rstrip("/"), _headers(chosen))
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = [_COLUMNS, *(_row(row) for row in rows)]
    widths = [max(len(row[at]) for row in table) for at in range(len(_COLUMNS))]
    for row in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def loaded(url: str, headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the server at this address has in memory. Raises `NoServer`, and `WrongToken` where it refuses us."""
    file = url.removeprefix("unix:")
    if file == url and not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url} is no address of a server.", "It begins with http:// or https://, or unix:.")
    here = urllib.request.ProxyHandler({})  # it is on this machine, or beside it
    opener = urllib.request.build_opener(here) if file == url else urllib.request.build_opener(here, _ByFile(file))
    at = url if file == url else "http://localhost"
    try:
        with opener.open(urllib.request.Request(f"{at}/loaded", headers=dict(headers)), timeout=SECONDS) as reply:  # noqa: S310
            rows: list[dict[str, Any]] = json.load(reply)["loaded"]
            return rows
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from None
    except urllib.error.URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise NoServer(f"No server answers at {url}: {why}.", "`llamalet serve` starts one.") from None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise NoServer(f"What answers at {url} is no llamalet server: {error!r}.") from None


def _refused(url: str, error: urllib.error.HTTPError) -> Exception:
    """What an error of the server means to us, in its own words."""
    with error:
        try:
            said = json.load(error)["errors"][0]["message"]
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
            return NoServer(f"What answers at {url} is no llamalet server: status {error.code}.")
    if error.code in (400, 401):
        return WrongToken(f"{url} refuses: {said}.", "Give its token with --token-file, or as LLAMALET_TOKEN.")
    return NoServer(f"{url} answers with status {error.code}: {said}")


class _ByFile(urllib.request.HTTPHandler):
    """Connects to a socket file, whatever the host is."""

    def __init__(self, file: str) -> None:
        super().__init__()
        if not hasattr(socket, "AF_UNIX"):
            raise NoServer(f"No server answers at {file}: this system has no Unix sockets.")
        self._file = file

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        file = self._file

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self.sock.settimeout(self.timeout)
                self.sock.connect(file)

        return self.do_open(Connection, req)


def _address(chosen: Settings) -> str:
    if chosen.unix:
        return f"unix:{chosen.unix}"
    host = _ANYWHERE.get(chosen.host, chosen.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{chosen.port}"


def _headers(chosen: Settings) -> dict[str, str]:
    from runtime.server.tokens import Tokens

    tokens = Tokens.of(chosen)
    return {} if tokens is None else {"authorization": f"Bearer {tokens.known[0].secret.decode()}"}


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["name"],
        one["quant"],
        shown(one["memory"]),
        str(one["context"]),
        str(one["running"]) if one["running"] else f"idle for {_time(one['idle'])}",
        _unloads(one),
    )


def _unloads(one: Mapping[str, Any]) -> str:
    if one["keep_alive"] < 0:
        return "never"
    return f"{_time(one['keep_alive'])} after" if one["unloads_in"] is None else f"in {_time(one['unloads_in'])}"


def _time(seconds: float) -> str:
    """The largest two units: 1h 5m, 4m 12s, 9s."""
    whole = int(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    shown = [f"{count}{unit}" for count, unit in parts if count][:2]
    return " ".join(shown) or "0s"
