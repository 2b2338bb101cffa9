"""The files on this machine: in the hub's cache, made by hand, or at the user's own path."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import store
from runtime.catalog import ModelSpec, Quant
from runtime.errors import ModelBroken, ModelMissing

REVISION = "0123456789abcdef0123456789abcdef01234567"
Q4 = Quant("Q4_K_M", "m-Q4_K_M.gguf", size=4)
Q8 = Quant("Q8_0", "m-Q8_0.gguf", size=8)
Q3 = Quant("Q3_K_L", "m-Q3_K_L.gguf")
SPEC = ModelSpec("m", (Q8, Q4, Q3), "Q4_K_M", repo="owner/name", revision=REVISION)
FETCH = "llamalet pull m:Q4_K_M"


def put(cache: Path, quant: Quant, size: int, revision: str = REVISION) -> Path:
    """A file in the hub's cache, laid out as the hub does where it cannot link."""
    path = cache / "models--owner--name" / "snapshots" / revision / quant.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    return path


def own(path: Path, size: int | None = None) -> ModelSpec:
    return ModelSpec("own", (Quant("GGUF", path.name, size),), "GGUF", path=path)


def test_a_quant_in_the_cache_is_found(tmp_path: Path) -> None:
    path = put(tmp_path, Q8, 8)
    assert store.locate(SPEC, Q8, cache=tmp_path) == path


def test_without_a_quant_the_default_is_taken(tmp_path: Path) -> None:
    put(tmp_path, Q8, 8)
    path = put(tmp_path, Q4, 4)
    assert store.locate(SPEC, cache=tmp_path) == path


def test_without_the_default_the_first_in_the_catalogues_order_is_taken(tmp_path: Path) -> None:
    put(tmp_path, Q3, 3)
    path = put(tmp_path, Q8, 8)
    assert store.locate(SPEC, cache=tmp_path) == path


def test_a_file_of_another_revision_is_not_taken(tmp_path: Path) -> None:
    put(tmp_path, Q4, 4, revision="f" * 40)
    with pytest.raises(ModelMissing):
        store.locate(SPEC, cache=tmp_path)


def test_a_branch_is_followed_to_its_commit(tmp_path: Path) -> None:
    path = put(tmp_path, Q4, 4)
    refs = tmp_path / "models--owner--name" / "refs"
    refs.mkdir()
    (refs / "main").write_text(REVISION)
    spec = ModelSpec("m", (Q4,), "Q4_K_M", repo="owner/name")
    assert store.locate(spec, cache=tmp_path) == path


def test_a_missing_model_is_refused_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as raised:
        store.locate(SPEC, cache=tmp_path)
    assert str(raised.value) == f"m:Q4_K_M is not on this machine. Run: {FETCH}"


def test_a_missing_quant_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    put(tmp_path, Q8, 8)
    put(tmp_path, Q3, 3)
    with pytest.raises(ModelMissing) as raised:
        store.locate(SPEC, Q4, cache=tmp_path)
    assert raised.value.message == "m:Q4_K_M is not on this machine, but m:Q8_0 and m:Q3_K_L are."


def test_a_file_the_hub_is_known_not_to_have_is_missing(tmp_path: Path) -> None:
    mark = tmp_path / "models--owner--name" / ".no_exist" / REVISION / Q4.file
    mark.parent.mkdir(parents=True)
    mark.touch()
    with pytest.raises(ModelMissing):
        store.locate(SPEC, Q4, cache=tmp_path)


def test_a_file_cut_short_is_broken_and_both_sizes_are_told(tmp_path: Path) -> None:
    path = put(tmp_path, Q4, 3)
    with pytest.raises(ModelBroken) as raised:
        store.locate(SPEC, cache=tmp_path)
    expected = f"{path} has 3 bytes instead of the 4 of m:Q4_K_M. Run: {FETCH}"
    assert str(raised.value) == expected


def test_a_file_of_unknown_size_is_taken_as_it_is(tmp_path: Path) -> None:
    path = put(tmp_path, Q3, 1)
    assert store.locate(SPEC, Q3, cache=tmp_path) == path


def test_available_are_the_whole_files_in_the_catalogues_order(tmp_path: Path) -> None:
    put(tmp_path, Q3, 3)
    put(tmp_path, Q4, 3)
    put(tmp_path, Q8, 8)
    assert store.available(SPEC, cache=tmp_path) == (Q8, Q3)


def test_nothing_is_available_from_a_cache_that_is_not_there(tmp_path: Path) -> None:
    assert store.available(SPEC, cache=tmp_path / "none") == ()


def test_a_users_own_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.touch()
    assert store.locate(own(path)) == path


def test_a_users_own_file_is_available(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.touch()
    assert [quant.name for quant in store.available(own(path))] == ["GGUF"]


def test_a_users_own_file_that_is_missing_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    with pytest.raises(ModelMissing) as raised:
        store.locate(own(path))
    assert raised.value.message == f"own: there is no file {path}."


def test_a_users_own_file_of_the_wrong_size_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"xx")
    with pytest.raises(ModelBroken, match="has 2 bytes instead of the 9"):
        store.locate(own(path, size=9))


@pytest.mark.parametrize(("variable", "folder"), [("HF_HOME", "hub"), ("HF_HUB_CACHE", ".")])
def test_the_hubs_own_variables_name_the_cache(tmp_path: Path, variable: str, folder: str) -> None:
    put(tmp_path / folder, Q4, 4)
    code = (
        "from runtime import store; from runtime.catalog import ModelSpec, Quant;"
        f"quant = Quant('Q4_K_M', {Q4.file!r}, 4);"
        f"spec = ModelSpec('m', (quant,), 'Q4_K_M', repo='owner/name', revision={REVISION!r});"
        "print(store.locate(spec).name)"
    )
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env = cleared | {variable: str(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == Q4.file
