"""Addresses on the hub, and which of its files are known by them."""

from __future__ import annotations

import socket

import pytest
from huggingface_hub import constants

from runtime import store
from runtime.store import hub


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hf:me/models/a.gguf", ("me/models", "main", "a.gguf")),
        ("hf:me/models@v1.0/a.gguf", ("me/models", "v1.0", "a.gguf")),
        ("hf:me/my-models_2.x/deep/er/a-b.gguf", ("me/my-models_2.x", "main", "deep/er/a-b.gguf")),
        ("hf:me/models", None),
        ("hf:models.gguf", None),
        ("hf:me/models/../a.gguf", None),
        ("hf:me/models/a b.gguf", None),
        ("hf:./models/a.gguf", None),
        ("hf:-me/models/a.gguf", None),
        ("hf:me/mo--dels/a.gguf", None),
        ("hf:me/models.git/a.gguf", None),
        ("hf://me/models/a.gguf", None),
        ("https://127.0.0.1/me/models/a.gguf", None),
    ],
)
def test_an_address_is_repository_revision_and_file(text: str, found: tuple[str, str, str] | None) -> None:
    assert hub.parse(text) == found


def test_a_mirror_that_is_no_hub_gets_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert hub.mirror("http://127.0.0.1/a.gguf").headers == {}
    assert hub.mirror("hf:me/models/a.gguf").headers["authorization"] == "Bearer hf_secret"


def test_an_address_shows_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in repr(hub.address("me/models", "main", "a.gguf"))


@pytest.mark.parametrize(("etag", "sha256"), [("a" * 64, "a" * 64), ("a" * 40, None), ("A" * 64, None)])
def test_the_etag_of_a_large_file_is_its_hash(etag: str, sha256: str | None) -> None:
    assert hub.Facts(1, "c", etag).sha256 == sha256


def test_a_hub_that_nobody_may_ask_is_no_problem_of_the_network() -> None:
    assert store.hub_problem(seconds=1) == "HF_HUB_OFFLINE is set"


def test_a_hub_that_refuses_is_told_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert (store.hub_problem(seconds=5) or "").startswith(f"{address}: ")
