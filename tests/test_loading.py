"""How a model would be loaded, and whether it fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime import loading, machine, settings
from runtime.catalog import Adapter, Catalog, Choice
from runtime.catalog import load as load_catalog
from runtime.engine import EngineConfig
from runtime.errors import DoesNotFit, ModelUnsupported
from runtime.fit import Room
from tests.rawgguf import UINT32, model_bytes

GIB = 1 << 30


@pytest.fixture
def choice(model: str) -> Choice:
    """A small model that has a window of 64 tokens."""
    return Catalog(()).with_files([model]).find(model)


def configure(choice: Choice, *loaded: EngineConfig, **options: object) -> EngineConfig:
    chosen = settings.load(options, env={})
    return loading.configure(choice, chosen, loading.room(chosen, sum(one.memory for one in loaded)), loaded=loaded)


def test_without_a_context_the_plan_has_one(choice: Choice) -> None:
    config = configure(choice)
    assert (config.context, config.memory > 0) == (64, True)


def test_a_context_that_is_asked_for_is_taken(choice: Choice) -> None:
    assert configure(choice, context=512).context == 512


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(choice: Choice) -> None:
    with pytest.raises(DoesNotFit, match=r"one.gguf:GGUF with 131072 tokens needs .*, 129 MiB available"):
        configure(choice, context=131072, memory="129MiB")


def test_the_user_may_insist(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(GIB, 1 << 20))
    with pytest.raises(DoesNotFit):
        configure(choice)
    assert configure(choice, memory="1GiB").context == 64


def test_layers_on_a_gpu_are_in_another_memory(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(GIB, 1 << 20))
    assert configure(choice, gpu_layers=-1).context == 64


def test_the_memory_of_what_is_loaded_counts(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(GIB, 1 << 20))
    assert configure(choice, EngineConfig(Path("other.gguf"), memory=GIB)).context == 64


def test_what_is_loaded_stays_as_it_is_though_memory_has_changed(
    choice: Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = configure(choice)
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(GIB, 1 << 20))
    assert configure(choice, loaded) is loaded


def test_threads_and_the_kind_of_cache_reach_the_engine(choice: Choice) -> None:
    key = {"llama.attention.key_length": (UINT32, 32), "llama.attention.value_length": (UINT32, 32)}
    Path(choice.spec.id).write_bytes(model_bytes({**key, "llama.rope.dimension_count": (UINT32, 32)}))
    config = configure(choice, threads=3, prompt_threads=5, kv_type="q8_0")
    assert (config.threads, config.prompt_threads, config.kv_type) == (3, 5, "q8_0")


def test_a_cache_in_blocks_of_32_takes_heads_of_as_many(choice: Choice) -> None:
    with pytest.raises(ModelUnsupported, match=r"heads have 4 numbers, and q8_0 has blocks of 32\. Set kv_type"):
        configure(choice, kv_type="q8_0")


def test_adapters_count_as_memory(choice: Choice, tmp_path: Path) -> None:
    path = tmp_path / "tales.gguf"
    path.write_bytes(bytes(1 << 20))
    adapted = replace(choice, spec=replace(choice.spec, adapters=(Adapter("tales", path),)))
    assert configure(adapted).memory - configure(choice).memory == 1 << 20


def test_what_is_not_here_is_forecast_from_the_catalogue() -> None:
    known = load_catalog()
    found = loading.forecast(known.find("1b:Q8_0"), settings.load(env={}), Room(8 * GIB), catalog=known.models)
    assert str(found) == "1b:Q8_0 with 8192 tokens"
    with pytest.raises(DoesNotFit, match="Fits: 1b:Q4_K_M with 4096 tokens"):
        loading.forecast(known.find("3b"), settings.load(env={}), Room(3 * GIB // 2), catalog=known.models)


@pytest.mark.parametrize(("name", "gib", "quant"), [("1b", 8, "Q4_K_M"), ("1b:Q8_0", 8, "Q8_0"), ("8b", 4.6, "IQ4_XS")])
def test_what_is_fetched_is_what_is_named_or_else_the_best_that_fits(name: str, gib: float, quant: str) -> None:
    known = load_catalog()
    given = settings.load({"memory": f"{int(gib * 1024)}MiB"}, env={})
    found = loading.to_fetch(known.find(name), given, catalog=known.models)
    assert found is not None
    assert found.name == quant


def test_what_would_not_fit_is_not_fetched() -> None:
    known = load_catalog()
    with pytest.raises(DoesNotFit, match=r"needs .* GiB, 2\.0 GiB available. Fits: "):
        loading.to_fetch(known.find("8b"), settings.load({"memory": "2GiB"}, env={}), catalog=known.models)
