"""Several tokens in a file: how it is written, and what becomes of it when it changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runtime import settings
from runtime.errors import ConfigError
from runtime.server.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path

ANN, BOB, NEW = "anns-token-0123456789", "bobs-token-0123456789", "new-token-01234567890"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def tokens(file: Path, text: str) -> Tokens:
    file.write_text(text, "utf-8")
    found = Tokens.of(settings.load({"token_file": file}, env={}, folder=file.parent))
    assert found
    return found


def rewrite(file: Path, text: str) -> None:
    """Put another in its place, so that not even its size and time need differ."""
    other = file.with_name("other")
    other.write_text(text, "utf-8")
    os.replace(other, file)


def owners(found: Tokens, *secrets: str) -> list[str | None]:
    return [found.owner(secret.encode()) for secret in secrets]


def test_each_token_is_its_owners(file: Path) -> None:
    text = f"# who may come\n\nann {ANN}\n  # bob is new\n\tbob\t{BOB}  \n{NEW}\n"
    assert owners(tokens(file, text), ANN, BOB, NEW, "x" * 20, "") == ["ann", "bob", "", None, None]


def test_one_owner_may_have_two_tokens(file: Path) -> None:
    assert owners(tokens(file, f"ann {ANN}\nann {NEW}\n"), ANN, NEW) == ["ann", "ann"]


def test_a_token_with_a_colon_is_one_token(file: Path) -> None:
    assert owners(tokens(file, f"ann:{ANN}"), f"ann:{ANN}", ANN) == ["", None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"ann {ANN}\nbob short\n", "line 2: the token is not accepted; it takes 16 to 512"),
        (f"ann {ANN} {BOB}\n", "line 1: the token is not accepted; it takes 16 to 512"),
        (f"a=b {ANN}\n", "line 1: the name is not accepted; it takes 1 to 64 letters, digits and . _ -"),
        (f"{'a' * 65} {ANN}\n", "line 1: the name is not accepted"),
        (f"ann {ANN}\n\nbob {ANN}\n", "line 3: this token stands in a line above already."),
        ("# nobody yet\n", "there is no token in "),
    ],
)
def test_a_line_that_is_none_is_named_and_shows_no_token(file: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tokens(file, text)
    assert said in str(raised.value)
    assert [secret for secret in (ANN, BOB, "short") if secret in str(raised.value)] == []


def test_a_file_that_changes_is_read_again(file: Path) -> None:
    found = tokens(file, f"ann {ANN}\nbob {BOB}\n")
    rewrite(file, f"bob {BOB}\neve {NEW}\n")
    assert owners(found, ANN, BOB, NEW) == [None, "bob", "eve"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("short", "line 1: the token is not accepted"), ("", "there is no token in"), (None, "No such file")],
)
def test_a_file_that_breaks_keeps_its_tokens_and_says_why_once(
    file: Path, caplog: pytest.LogCaptureFixture, text: str | None, why: str
) -> None:
    found = tokens(file, f"ann {ANN}\n")
    rewrite(file, text) if text is not None else file.unlink()
    assert owners(found, ANN, ANN, "short") == ["ann", "ann", None]
    (record,) = caplog.records
    assert (record.levelname, why in record.message) == ("WARNING", True)
    assert record.message.endswith("The tokens that it had before still hold.")
    assert ANN not in caplog.text


def test_a_file_that_is_whole_again_holds(file: Path) -> None:
    found = tokens(file, f"ann {ANN}\n")
    rewrite(file, "short")
    assert owners(found, ANN) == ["ann"]
    rewrite(file, f"bob {BOB}\n")
    assert owners(found, ANN, BOB) == [None, "bob"]


def test_every_token_is_compared_whichever_it_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tokens(file, f"ann {ANN}\nbob {BOB}\n")
    compared: list[bytes] = []
    monkeypatch.setattr("hmac.compare_digest", lambda given, known: compared.append(known) or given == known)  # type: ignore[func-returns-value]
    assert owners(found, ANN) == ["ann"]
    assert compared == [ANN.encode(), BOB.encode()]


def test_no_repr_shows_a_token(file: Path) -> None:
    found = tokens(file, f"ann {ANN}\n")
    assert ANN not in f"{found!r} {found.known!r}"
