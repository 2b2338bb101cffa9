"""`llamalet list` and `llamalet info`, with a hub's cache made by hand."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from runtime import catalog
from runtime.store import records
from tests.commands import Shell
from tests.rawgguf import model_bytes

if TYPE_CHECKING:
    from pathlib import Path

ONE_B = "@cf/meta/llama-3.2-1b-instruct"
IDS = [ONE_B, "@cf/meta/llama-3.2-3b-instruct", "@cf/meta/llama-3.1-8b-instruct"]


@pytest.fixture
def shell() -> Shell:
    return Shell()


@pytest.fixture
def q4(home: Path) -> Path:
    """The 1B model in Q4_K_M, in the cache: zeros of the right size, which take no room on the disk."""
    choice = catalog.load().find("1b:Q4_K_M")
    assert choice.quant
    assert choice.quant.size
    folder = home / "hub" / f"models--{choice.spec.repo.replace('/', '--')}" / "snapshots" / choice.spec.revision
    folder.mkdir(parents=True)
    path = folder / choice.quant.file
    with path.open("wb") as file:
        file.truncate(choice.quant.size)
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.gguf").write_bytes(model_bytes())
    path = tmp_path / "models.toml"
    path.write_text(
        "[[model]]\nid = 'mine'\naliases = ['m']\npath = 'own.gguf'\nlicence = 'MIT'\n"
        "[[adapter]]\nname = 'tales'\npath = 'tales.gguf'\nmodels = ['mine']\n"
    )
    return path


def rows(shell: Shell, *args: str) -> dict[str, Any]:
    return {row["id"]: row for row in json.loads(shell("list", "--json", *args).stdout)}


def test_the_list_has_a_line_for_each_model(shell: Shell) -> None:
    result = shell("list")
    assert (result.exit_code, [line.split()[0] for line in result.stdout.splitlines()], result.stderr) == (0, IDS, "")


def test_without_files_no_model_is_here(shell: Shell) -> None:
    assert [line.endswith("  not on this machine") for line in shell("list").stdout.splitlines()] == [True] * 3


def test_a_model_in_the_cache_is_here(shell: Shell, q4: Path) -> None:
    first, *others = shell("list").stdout.splitlines()
    assert first.split() == [ONE_B, "1b", "Q4_K_M", "807.7", "MB", "never", "used", str(q4)]
    assert [line.split()[-1] for line in others] == ["machine", "machine"]


def test_a_file_that_was_cut_short_is_not_here(shell: Shell, q4: Path) -> None:
    with q4.open("r+b") as file:
        file.truncate(100)
    assert rows(shell)[ONE_B]["here"] == []


def test_the_list_is_given_as_json_too(shell: Shell, q4: Path) -> None:
    assert list(rows(shell)) == IDS
    file = {"quant": "Q4_K_M", "bytes": 807694464, "last_used": None, "path": str(q4)}
    assert rows(shell)[ONE_B] == {"id": ONE_B, "aliases": ["1b"], "here": ["Q4_K_M"], "files": [file]}


def test_the_list_tells_when_a_file_was_used(shell: Shell, q4: Path) -> None:
    records.use(q4)
    assert rows(shell)[ONE_B]["files"][0]["last_used"] == pytest.approx(time.time(), abs=60)
    assert time.strftime("%Y-%m-") in shell("list").stdout


def test_the_list_has_models_of_the_users_own(shell: Shell, own: Path) -> None:
    mine = rows(shell, "--models", str(own))["mine"]
    assert (mine["aliases"], mine["here"], mine["files"][0]["path"]) == (["m"], ["GGUF"], str(own.parent / "own.gguf"))


def test_models_beside_the_configuration_file_are_found(
    shell: Shell, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMALET_MODELS", str(own))
    assert "mine" in rows(shell)


def test_info_has_what_is_known_of_a_model(shell: Shell) -> None:
    info = json.loads(shell("info", "1b", "--json").stdout)
    assert {key: info[key] for key in ("id", "context_window", "kv_bytes_per_token", "chat_format", "here")} == {
        "id": ONE_B,
        "context_window": 60000,
        "kv_bytes_per_token": 32768,
        "chat_format": "llama3.2",
        "here": [],
    }
    assert info["quants"]["Q4_K_M"] == {
        "file": "Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        "bytes": 807694464,
        "sha256": "6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83",
    }
    assert info["licence"] == "Llama 3.2 Community License"


def test_info_is_readable(shell: Shell) -> None:
    lines = shell("info", "1b").stdout.splitlines()
    assert f"{'context window':<20} 60000" in lines
    assert "  Q4_K_M   807.7 MB  Llama-3.2-1B-Instruct-Q4_K_M.gguf" in lines
    assert any("©" in line for line in lines)


def test_info_leaves_out_what_is_not_known(shell: Shell, own: Path) -> None:
    result = shell("info", "m", "--models", str(own))
    lines = [line for line in result.stdout.splitlines() if "." not in line.split()[0]]
    assert [line.split()[0] for line in lines] == [
        "id", "aliases", "here", "chat", "licence", "adapters", "GGUF", "tensors",
    ]  # fmt: skip


def test_info_has_what_the_file_says_of_itself(shell: Shell, own: Path) -> None:
    (file,) = json.loads(shell("info", "m", "--models", str(own), "--json").stdout)["files"]
    assert (file["header"]["general.architecture"], file["header"]["llama.context_length"]) == ("llama", 64)
    assert file["header"]["tensors"] == 2


def test_info_tells_what_is_wrong_with_a_file(shell: Shell, q4: Path) -> None:
    (file,) = json.loads(shell("info", "1b", "--json").stdout)["files"]
    assert (file["path"], "zero bytes" in file["header"]["problem"]) == (str(q4), True)


def test_info_takes_a_file(shell: Shell, own: Path) -> None:
    path = str(own.with_name("own.gguf"))
    assert json.loads(shell("info", path, "--json").stdout)["here"] == ["GGUF"]


def test_info_of_a_file_that_is_not_there_is_an_error(shell: Shell, tmp_path: Path) -> None:
    result = shell("info", str(tmp_path / "none.gguf"))
    assert (result.exit_code, result.stdout, "there is no file" in result.stderr) == (66, "", True)


def test_info_of_an_unknown_model_offers_the_nearest(shell: Shell) -> None:
    result = shell("info", "8bb")
    assert (result.exit_code, "8b" in result.stderr.splitlines()[1]) == (67, True)


@pytest.mark.parametrize("command", [("list",), ("info", "1b")])
def test_a_bad_models_file_is_told_with_file_line_and_key(
    shell: Shell, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "models.toml"
    path.write_text("[[model]]\nid = 'mine'\npth = 'x.gguf'\n")
    result = shell(*command, "--models", str(path))
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr.startswith(f"llamalet: {path} line ")


def test_a_models_file_that_is_not_there_is_told(shell: Shell, tmp_path: Path) -> None:
    result = shell("list", "--models", str(tmp_path / "none.toml"))
    assert (result.exit_code, "none.toml" in result.stderr) == (78, True)
