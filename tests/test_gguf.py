"""What `runtime.gguf` reads, and that nothing in a file but an error of ours comes out of it."""

from __future__ import annotations

import os
import pickle
import random
import struct
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from runtime.errors import LlamaletError, ModelBroken, ModelMissing
from runtime.gguf import Array, Tensor, check, check_adapter, read_header
from tests import rawgguf as raw
from tests.models import canary_adapter, canary_model, random_model
from tests.rawgguf import adapter_bytes, gguf_bytes, model_bytes
from tests.shared import needs_shared, shared
from tests.vocabulary import vocabulary

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY_FILE = "data/llama3-vocab.gguf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_every_scalar_is_read_by_its_type(path: Path) -> None:
    values = {
        "a": (raw.UINT32, 4_000_000_000),
        "b": (raw.INT32, -1),
        "c": (raw.FLOAT32, 0.5),
        "d": (raw.BOOL, True),
        "e": (raw.UINT64, 1 << 63),
        "f": (raw.FLOAT64, 0.1),
        "g": (raw.STRING, "grüße"),
    }
    path.write_bytes(gguf_bytes(values))
    assert read_header(path).metadata == {key: value for key, (_, value) in values.items()}


def test_an_array_is_left_in_the_file(path: Path) -> None:
    path.write_bytes(gguf_bytes({"a": (raw.ARRAY, (raw.STRING, ["x", "yz"]))}))
    (array,) = read_header(path).metadata.values()
    assert array == Array(kind=raw.STRING, count=2, start=24 + 9 + 4 + 12)


def test_the_kinds_tell_floats_apart(path: Path) -> None:
    path.write_bytes(gguf_bytes({"a": (raw.FLOAT32, 0.5), "b": (raw.FLOAT64, 0.5)}))
    assert read_header(path).kinds == {"a": raw.FLOAT32, "b": raw.FLOAT64}


def test_tensors_have_shape_and_size(path: Path) -> None:
    path.write_bytes(gguf_bytes({}, (("n", (8,), 0, 0), ("q", (64, 3), 8, 32)), data=32 + 204))
    assert read_header(path).tensors == (Tensor("n", (8,), 0, 0, 32), Tensor("q", (64, 3), 8, 32, 204))


def test_the_data_starts_at_a_multiple_of_the_alignment(path: Path) -> None:
    path.write_bytes(gguf_bytes({"general.alignment": (raw.UINT32, 128)}, (("n", (8,), 0, 0),), data=256))
    assert read_header(path).data_offset == 128


def test_version_2_is_read_like_version_3(path: Path) -> None:
    path.write_bytes(model_bytes(version=2))
    assert check(path).version == 2


def test_a_file_may_end_with_its_last_tensor(path: Path) -> None:
    path.write_bytes(gguf_bytes({}, (("n", (8,), 0, 0),), data=32))
    assert len(read_header(path).tensors) == 1


def test_a_header_cannot_be_changed(path: Path) -> None:
    path.write_bytes(model_bytes())
    with pytest.raises(TypeError):
        read_header(path).metadata["llama.block_count"] = 2  # type: ignore[index]


@pytest.mark.parametrize("name", ["llama-bpe", "llama3", "llama-v3"])
def test_every_name_of_llama_3s_pre_tokenizer_passes(path: Path, name: str) -> None:
    path.write_bytes(model_bytes({"tokenizer.ggml.pre": (raw.STRING, name)}))
    assert check(path).metadata["tokenizer.ggml.pre"] == name


def test_a_vocabulary_without_tensors_passes(path: Path) -> None:
    path.write_bytes(model_bytes(tensors=(), data=0))
    assert check(path).tensors == ()


def test_an_adapter_passes_without_alpha(path: Path) -> None:
    path.write_bytes(adapter_bytes({"adapter.lora.alpha": None}))
    assert len(check_adapter(path).tensors) == 2


def test_an_adapter_of_the_embedding_passes(path: Path) -> None:
    pair = (("token_embd.weight.lora_a", (2, 4), 0, 0), ("token_embd.weight.lora_b", (2, 8), 0, 32))
    path.write_bytes(adapter_bytes(tensors=pair))
    assert len(check_adapter(path).tensors) == 2


def test_the_models_of_these_tests_pass(path: Path) -> None:
    random_model(path)
    check(path)
    canary_model(path)
    check(path)
    canary_adapter(path)
    check_adapter(path)


def test_a_file_that_is_not_there_is_missing(path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"There is no file .*model\.gguf"):
        check(path)


def test_a_directory_is_broken(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="is a directory, expected a GGUF file"):
        check(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_broken_and_not_waited_for(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(ModelBroken, match="is no ordinary file"):
        check(path)


def test_a_file_that_may_not_be_read_is_broken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(model_bytes())

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(type(path), "open", refuse)
    with pytest.raises(ModelBroken, match=r"model\.gguf cannot be read: Permission denied"):
        check(path)


def test_the_file_is_closed_and_can_be_replaced(path: Path) -> None:
    path.write_bytes(model_bytes())
    check(path)
    path.rename(path.with_suffix(".old"))


def test_an_error_travels_between_processes(path: Path) -> None:
    path.write_bytes(b"GGUF")
    with pytest.raises(ModelBroken) as caught:
        check(path)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_file_cut_anywhere_is_broken(path: Path) -> None:
    whole = model_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelBroken):
            check(path)


def test_an_adapter_cut_anywhere_is_broken(path: Path) -> None:
    whole = adapter_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelBroken):
            check_adapter(path)


@pytest.mark.parametrize("seed", range(5))
def test_a_mutated_file_passes_or_is_refused(path: Path, seed: int) -> None:
    draw, whole = random.Random(seed), model_bytes()
    spots = (1, 2, 4, 8)
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            size = draw.choice(spots)
            # Half of the blows go to the first numbers and keys, where most of the structure is.
            at = draw.randrange(len(content) // draw.choice((1, 20)))
            content[at : at + size] = draw.choice((draw.randbytes(size), bytes(size), b"\xff" * size, b""))
        path.write_bytes(content)
        try:
            check(path)
        except LlamaletError:
            continue


def test_memory_stays_small_whatever_the_counts_say(path: Path) -> None:
    content = raw.string("k") + struct.pack("<IIQ", raw.ARRAY, raw.STRING, 1 << 50)
    path.write_bytes(gguf_bytes({"k": (raw.UINT32, 0)}, entries=content, data=1 << 20))
    tracemalloc.start()
    with pytest.raises(ModelBroken):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_the_data_of_the_tensors_is_not_read(path: Path) -> None:
    path.write_bytes(gguf_bytes({}, (("n", (1 << 20, 8), 0, 0),)))
    with path.open("r+b") as file:
        file.truncate((32 << 20) + 128)  # the data is a hole
    tracemalloc.start()
    read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_128_256_tokens_are_checked_in_a_second(path: Path) -> None:
    words = vocabulary(extra={f"Ġword{index}": 1 for index in range(128_256)})
    tokens, types = (raw.ARRAY, (raw.STRING, list(words.tokens))), (raw.ARRAY, (raw.INT32, list(words.types)))
    merges = raw.ARRAY, (raw.STRING, ["a b"] * 280_147)
    names = ("tokens", "token_type", "merges")
    arrays = dict(zip((f"tokenizer.ggml.{name}" for name in names), (tokens, types, merges), strict=True))
    path.write_bytes(model_bytes(arrays))
    start = time.process_time()
    check(path)
    assert time.process_time() - start < 1


@needs_shared(VOCABULARY_FILE)
def test_the_real_vocabulary_passes() -> None:
    header = check(shared(VOCABULARY_FILE))
    assert header.metadata["tokenizer.ggml.tokens"].count == 128_256
