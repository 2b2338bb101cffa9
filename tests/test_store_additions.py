"""Models of the user's own from the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runtime import catalog, store
from runtime.errors import ConfigError, DownloadFailed, ModelBroken, ModelMissing
from tests.hub import COMMIT, REPO, Fault, LoopbackHub
from tests.stores import FILE

if TYPE_CHECKING:
    from pathlib import Path

TEXT = f"hf:{REPO}/{FILE}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "models.toml"


def test_what_came_is_recorded_with_commit_size_and_hash(hub: LoopbackHub, file: Path) -> None:
    spec, pulled = store.add(TEXT, file)
    assert (spec.id, spec.repo, spec.revision) == ("tiny-q8_0", REPO, COMMIT)
    assert (spec.quants[0].name, spec.quants[0].size) == ("Q8_0", len(hub.files[FILE]))
    assert spec.quants[0].sha256 == pulled.sha256 == hub.sha256(FILE)
    assert catalog.load(file).find("tiny-q8_0").spec == spec
    assert store.locate(spec) == pulled.path


def test_the_file_keeps_its_text(hub: LoopbackHub, file: Path) -> None:
    file.parent.mkdir()
    text = "# mine\n[[model]]\nid = 'first'  # the first\npath = 'first.gguf'\n"
    file.write_text(text)
    store.add(TEXT, file, name="Second")
    assert file.read_text().startswith(text + '\n[[model]]\nid = "second"\n')
    assert [one.name for one in file.parent.iterdir()] == ["models.toml"]


def test_added_again_it_is_the_same_model(hub: LoopbackHub, file: Path) -> None:
    first = store.add(TEXT, file)
    before, asked = file.read_text(), len(hub.requests)
    again = store.add(TEXT, file)
    assert (again[0], again[1].fetched, file.read_text(), len(hub.requests)) == (first[0], 0, before, asked)


def test_it_may_be_called_otherwise(hub: LoopbackHub, file: Path) -> None:
    assert store.add(TEXT, file, name="mine")[0].id == "mine"
    assert store.add(TEXT, file)[0].id == "mine"  # the same file
    assert store.add(TEXT, file, name="yours")[0].id == "yours"
    assert [spec.id for spec in catalog.load(file).models][-2:] == ["mine", "yours"]


@pytest.mark.parametrize("name", ["1b", "@cf/meta/llama-3.2-1b-instruct", "mine"])
def test_a_name_that_is_taken_is_refused_before_anything_is_fetched(hub: LoopbackHub, file: Path, name: str) -> None:
    file.parent.mkdir()
    file.write_text("[[model]]\nid = 'mine'\npath = 'mine.gguf'\n")
    with pytest.raises(ConfigError, match=r"is a name of .* already"):
        store.add(TEXT, file, name=name)
    assert hub.requests == []


@pytest.mark.parametrize("text", ["hf:me/models", "hf:me/models/readme.md", "1b", "hf:me/models/a b.gguf"])
def test_another_form_is_refused_with_the_right_one(hub: LoopbackHub, file: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"Write hf:owner/repo/file\.gguf"):
        store.add(text, file)


def test_what_does_not_come_is_not_recorded(hub: LoopbackHub, file: Path) -> None:
    with pytest.raises(DownloadFailed):
        store.add(f"hf:{REPO}/none.gguf", file)
    hub.faults = [Fault(flip=2_000_000)]
    with pytest.raises(ModelBroken) as raised:
        store.add(TEXT, file)
    assert (raised.value.hint, file.exists()) == (f"Run: llamalet pull {TEXT}", False)


def test_offline_it_must_be_here(hub: LoopbackHub, file: Path) -> None:
    with pytest.raises(ModelMissing) as raised:
        store.add(TEXT, file, offline=True)
    assert (raised.value.hint, hub.requests) == (f"Run: llamalet pull {TEXT}", [])


def test_a_models_file_that_is_wrong_is_told_before_anything_is_fetched(hub: LoopbackHub, file: Path) -> None:
    file.parent.mkdir()
    file.write_text("model = 1\n")
    with pytest.raises(ConfigError, match=r"models\.toml line 1"):
        store.add(TEXT, file)
    assert hub.requests == []


@pytest.mark.parametrize("failing", ["pathlib.Path.write_text", "os.replace"])
def test_a_models_file_that_cannot_be_written_stays_as_it_was_and_is_told(
    hub: LoopbackHub, file: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store.add(TEXT, file.with_name("first.toml"))  # so that of the download no step is left
    file.write_text("# mine\n")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(failing, full)
        with pytest.raises(ConfigError, match=r"has come, but .*models\.toml cannot be written: No space") as raised:
            store.add(TEXT, file)
    assert "--models FILE" in str(raised.value.hint)
    assert sorted(one.name for one in file.parent.iterdir()) == ["first.toml", "models.toml"]
    assert file.read_text() == "# mine\n"
    assert store.add(TEXT, file)[1].fetched == 0
