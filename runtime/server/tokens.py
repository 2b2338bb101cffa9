"""The tokens that are let in, and whose each is."""

from __future__ import annotations

import hmac
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.settings import Settings

log = logging.getLogger("llamalet.server")

_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MADE_BY = 'One is made by: python -c "import secrets; print(secrets.token_urlsafe())"'


@dataclass(frozen=True, slots=True)
class Token:
    """name: who in the log and the metrics this is; "" where the file does not say."""

    name: str
    secret: bytes = field(repr=False)


class Tokens:
    """Those of a setting, or of a file as it is at the moment: it is read again when it has changed.

    A file that cannot be used any more changes nothing, and the log says why.
    """

    def __init__(self, known: tuple[Token, ...], file: Path | None = None, origin: str = "") -> None:
        self._known, self._file, self._origin = known, file, origin
        self._stamp = None if file is None else _stamp(file)

    @classmethod
    def of(cls, settings: Settings) -> Tokens | None:
        """None where none is asked for. Raises `ConfigError` for one that cannot be used."""
        if settings.token_file and settings.token:
            raise ConfigError(f"{settings.origin('token')}: both token and token_file are set.", "Set one of them.")
        if settings.token_file:
            origin = settings.origin("token_file")
            return cls(_read(settings.token_file, origin), settings.token_file, origin)
        if settings.token:
            return cls((Token("", _checked(settings.token, settings.origin("token"))),))
        return None

    @property
    def known(self) -> tuple[Token, ...]:
        """In the order of the file."""
        self._renew()
        return self._known

    def owner(self, secret: bytes) -> str | None:
        """The name of who has this token; None if nobody has. How long it takes tells nothing about the tokens: each
        is compared to its end, and all are."""
        found = [one.name for one in self.known if hmac.compare_digest(secret, one.secret)]
        return found[0] if found else None

    def _renew(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) == self._stamp:
            return
        self._stamp = stamp
        try:
            self._known = _read(self._file, self._origin)
        except ConfigError as wrong:
            log.warning("%s The tokens that it had before still hold.", wrong)
        else:
            log.info("%s has changed: %d tokens hold", self._file, len(self._known))


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What differs when the file does; None when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(file: Path, origin: str) -> tuple[Token, ...]:
    """Lines of `token` or `name token`; what begins with # is a comment. Raises `ConfigError`, which shows no token."""
    known: dict[bytes, Token] = {}
    for number, line in enumerate(_text(file, origin).splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        place = f"{origin}: {file} line {number}"
        name, secret = (words[0], words[1]) if len(words) == 2 else ("", line.strip())
        if name and not _NAME.fullmatch(name):
            raise ConfigError(f"{place}: the name is not accepted; it takes 1 to 64 letters, digits and . _ -")
        token = Token(name, _checked(secret, place))
        if token.secret in known:
            raise ConfigError(f"{place}: this token stands in a line above already.", "Give each its own.")
        known[token.secret] = token
    if not known:
        raise ConfigError(f"{origin}: there is no token in {file}.", _MADE_BY)
    return tuple(known.values())


def _checked(secret: str, place: str) -> bytes:
    if not _TOKEN.fullmatch(secret):
        raise ConfigError(
            f"{place}: the token is not accepted; it takes 16 to 512 printable ASCII characters without a space.",
            _MADE_BY,
        )
    return secret.encode()


def _text(file: Path, origin: str) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as wrong:
        raise ConfigError(f"{origin}: the token file {file} cannot be read: {wrong.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{origin}: the token file {file} cannot be read: it is not UTF-8.") from None
