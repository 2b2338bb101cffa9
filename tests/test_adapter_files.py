"""The numbers of LoRA adapters, and the model that they were made for, are checked before llama.cpp sees the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf as written
import numpy as np
import pytest

from runtime.errors import ModelBroken, ModelUnsupported
from runtime.gguf import adapter, check_adapter, read_header
from tests.models import canary_adapter, canary_model, finish, random_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KINDS = ("F32", "F16", "BF16", "Q8_0")


def pair(path: Path, *, worst: float = 1.0, kind: str = "F32", rank: int = 32, width: int = 64) -> Path:
    """An adapter of one weight, whose last number is `worst`."""
    numbers: NDArray[Any] = np.ones((width, rank), np.float32)
    numbers[-1, -1] = worst
    with np.errstate(all="ignore"):
        stored = written.quants.quantize(numbers, written.GGMLQuantizationType[kind])
    writer = written.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((rank, width), np.float32))
    writer.add_tensor("blk.0.attn_q.weight.lora_b", stored, raw_dtype=written.GGMLQuantizationType[kind])
    finish(writer)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_are_finite_pass(tmp_path: Path, kind: str) -> None:
    check_adapter(pair(tmp_path / "a.gguf", kind=kind))


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_one_number_that_is_not_finite_is_refused(tmp_path: Path, kind: str, worst: float) -> None:
    with pytest.raises(ModelBroken, match=r"tensor blk\.0\.attn_q\.weight\.lora_b holds numbers that are not finite"):
        check_adapter(pair(tmp_path / "a.gguf", kind=kind, worst=worst))


def test_numbers_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_CHUNK", 34 * 4)
    check_adapter(pair(tmp_path / "a.gguf", kind="Q8_0"))
    with pytest.raises(ModelBroken, match="not finite"):
        check_adapter(pair(tmp_path / "b.gguf", worst=np.nan))


@pytest.mark.parametrize("rank", [1, 64])
def test_a_rank_within_the_bound_passes(tmp_path: Path, rank: int) -> None:
    check_adapter(pair(tmp_path / "a.gguf", rank=rank))


def test_a_rank_beyond_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match=r"rank 65, at most 64 goes.*lower rank"):
        check_adapter(pair(tmp_path / "a.gguf", rank=65))


def test_a_file_may_be_as_large_as_the_bound_and_not_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pair(tmp_path / "a.gguf")
    size = path.stat().st_size
    monkeypatch.setattr(adapter, "MAX_BYTES", size)
    check_adapter(path)
    monkeypatch.setattr(adapter, "MAX_BYTES", size - 1)
    with pytest.raises(ModelUnsupported, match=f"it has {size:,} bytes, at most {size - 1:,} go"):
        check_adapter(path)


def test_an_adapter_goes_with_the_model_that_it_was_made_for(tmp_path: Path) -> None:
    canary_model(tmp_path / "model.gguf")
    canary_adapter(tmp_path / "adapter.gguf")
    check_adapter(tmp_path / "adapter.gguf", read_header(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("width", "words"),
    [(96, r"of shape \(96, 64\).*is there of shape \(64, 64\)"), (64, None)],
)
def test_a_shape_that_the_model_has_not_is_of_another_model(tmp_path: Path, width: int, words: str | None) -> None:
    random_model(tmp_path / "model.gguf")
    base = read_header(tmp_path / "model.gguf")
    path = tmp_path / "adapter.gguf"
    numbers = {"lora_a": np.ones((2, width), np.float32), "lora_b": np.ones((64, 2), np.float32)}
    write(path, "blk.0.attn_q.weight", numbers)
    if words is None:
        check_adapter(path, base)
    else:
        with pytest.raises(ModelBroken, match=words):
            check_adapter(path, base)


def test_a_weight_that_the_model_has_not_is_of_another_model(tmp_path: Path) -> None:
    random_model(tmp_path / "model.gguf")
    path = tmp_path / "adapter.gguf"
    write(path, "blk.9.attn_q.weight", {"lora_a": np.ones((2, 64), np.float32), "lora_b": np.ones((64, 2), np.float32)})
    with pytest.raises(ModelBroken, match=r"changes blk\.9\.attn_q\.weight of shape \(64, 64\), which.* is not there"):
        check_adapter(path, read_header(tmp_path / "model.gguf"))


def test_an_embedding_lies_the_other_way_round(tmp_path: Path) -> None:
    vocab = random_model(tmp_path / "model.gguf")
    path = tmp_path / "adapter.gguf"
    numbers = {"lora_a": np.ones((len(vocab), 2), np.float32), "lora_b": np.ones((64, 2), np.float32)}
    write(path, "token_embd.weight", numbers)
    check_adapter(path, read_header(tmp_path / "model.gguf"))


def write(path: Path, weight: str, numbers: dict[str, NDArray[Any]]) -> None:
    writer = written.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    for name, array in numbers.items():
        writer.add_tensor(f"{weight}.{name}", array)
    finish(writer)
