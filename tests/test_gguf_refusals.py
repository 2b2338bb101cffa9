"""What `runtime.gguf` refuses, and with which words."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

import pytest

from runtime.errors import ModelBroken, ModelUnsupported
from runtime.gguf import check, check_adapter
from tests import rawgguf as raw
from tests.rawgguf import adapter_bytes, gguf_bytes, model_bytes
from tests.vocabulary import vocabulary

if TYPE_CHECKING:
    from pathlib import Path

TOKENS = list(vocabulary().tokens)
TYPES = list(vocabulary().types)
ZERO_TO_FOUR = ("t", (8, 4), 0, 0)


def strings(items: list[Any]) -> raw.Value:
    return raw.ARRAY, (raw.STRING, items)


def u32(number: int) -> raw.Value:
    return raw.UINT32, number


def retyped(token: str, kind: int) -> raw.Value:
    return raw.ARRAY, (raw.INT32, [kind if t == token else old for t, old in zip(TOKENS, TYPES, strict=True)])


def head(version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def with_tensors(*tensors: raw.RawTensor, data: int = 4096) -> bytes:
    return model_bytes(tensors=tensors, data=data)


def one_key(kind: int, content: bytes) -> bytes:
    return head(keys=1) + raw.string("a.key") + struct.pack("<I", kind) + content


# What is no GGUF file, or a damaged one, and a piece of what is said of it.
BROKEN = {
    "empty": (b"", "is empty"),
    "three bytes": (b"GGU", "starts with b'GGU', expected b'GGUF'"),
    "other magic": (b"GGML" + bytes(60), "starts with b'GGML"),
    "web page": (b"\n<!DOCTYPE html><html>", "is a web page"),
    "bare web page": (b"<HTML><body>404", "is a web page"),
    "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
    "json": (b'{"error":"Repository not found"}', "is JSON text"),
    "zip": (b"PK\x03\x04" + bytes(60), "is a zip archive"),
    "zeros": (bytes(4096), "is zero bytes"),
    "magic alone": (b"GGUF", "is cut short: the version reaches to byte 8, and the file ends at byte 4."),
    "version 0": (head(0), "is GGUF version 0, expected 2 or 3"),
    "version 1": (head(1), "is GGUF version 1, expected 2 or 3"),
    "version 4": (head(4), "is GGUF version 4, expected 2 or 3"),
    "big endian": (head(3 << 24), "is GGUF version 50331648"),
    "2^62 keys": (head(keys=1 << 62), "claims 4,611,686,018,427,387,904 metadata keys, expected at most 65,536"),
    "2^63 tensors": (head(tensors=1 << 63), "claims 9,223,372,036,854,775,808 tensors"),
    "fewer keys than claimed": (head(keys=2), "the length of metadata key 1 of 2 reaches to byte 32"),
    "endless key": (head(keys=1) + struct.pack("<Q", 1 << 63), "metadata key 1 of 1 reaches to byte 9,223,372,036"),
    "empty key": (head(keys=1) + raw.string("") + bytes(12), "metadata key 1 is empty"),
    "key not UTF-8": (head(keys=1) + raw.string(b"\xff") + bytes(12), "is not UTF-8, but b'\\xff'"),
    "value of unknown type": (one_key(13, bytes(8)), "a.key is of unknown type 13"),
    "value not UTF-8": (one_key(raw.STRING, raw.string(b"\xc0")), "a.key is not UTF-8"),
    "endless string": (one_key(raw.STRING, struct.pack("<Q", 1 << 40)), "a.key reaches to byte 1,099,511,627,8"),
    "array of unknown type": (one_key(raw.ARRAY, struct.pack("<IQ", 99, 1)), "a.key is an array of unknown type 99"),
    "array of arrays": (one_key(raw.ARRAY, struct.pack("<IQ", raw.ARRAY, 1)), "is an array of unknown type 9"),
    "endless array": (one_key(raw.ARRAY, struct.pack("<IQ", 4, 1 << 60)), "an array of 1,152,921,504,606,846,976"),
    "endless array of strings": (one_key(raw.ARRAY, struct.pack("<IQ", 8, 1 << 40)), "a.key, an array of 1,099,"),
    "endless string in array": (one_key(raw.ARRAY, struct.pack("<IQQ", 8, 1, 1 << 62)), "a string in a.key reaches"),
    "duplicate key": (
        head(keys=2) + 2 * (raw.string("a.key") + struct.pack("<II", 4, 1)),
        "metadata key 2 is twice there: 'a.key'",
    ),
    "alignment 0": (model_bytes({"general.alignment": u32(0)}), "general.alignment is 0, expected a power of two"),
    "alignment 24": (model_bytes({"general.alignment": u32(24)}), "general.alignment is 24"),
    "tensor beyond the end": (
        with_tensors(("t", (8, 4), 0, 0), data=127),
        "is cut short: tensor t reaches to byte",
    ),
    "tensor twice": (with_tensors(("t", (8,), 0, 0), ("t", (8,), 0, 32)), "tensor 't' is there twice"),
    "tensor out of order": (with_tensors(("t", (8,), 0, 64)), "tensor t lies at 64, expected 0"),
    "tensor of type 4": (with_tensors(("t", (8, 4), 4, 0)), "tensor t of type 4, which is none that weights have"),
    "tensor of integers": (with_tensors(("t", (8, 4), 26, 0)), "tensor t of type 26"),
    "tensor of Q8_K": (with_tensors(("t", (256, 4), 15, 0)), "tensor t of type 15"),
    "tensor of type 1000": (with_tensors(("t", (8, 4), 1000, 0)), "tensor t of type 1000"),
    "tensor with broken block": (with_tensors(("t", (40, 4), 8, 0)), "has shape (40, 4); rows go in 32s"),
    "tensor of negative size": (with_tensors(("t", (8, -4), 0, 0)), "tensor t of type 0 has shape (8, -4)"),
    "tensor of no size": (with_tensors(("t", (8, 0), 0, 0)), "has shape (8, 0)"),
    "tensor of 2^80 numbers": (with_tensors(("t", (1 << 40, 1 << 40), 0, 0)), "is cut short: tensor t reaches"),
    "tensor of 5 dimensions": (with_tensors(("t", (1, 1, 1, 1, 1), 0, 0)), "tensor t has 5 dimensions, at most 4"),
    "tensor of long name": (with_tensors(("t" * 64, (8,), 0, 0)), "has 64 bytes, at most 63"),
    "norm in half precision": (with_tensors(("t", (8,), 1, 0)), "tensor t of one row has type 1, expected 0 (F32)"),
    "norm as matrix": (with_tensors(("t", (8, 1), 30, 0)), "tensor t of one row has type 30"),
    "no layers": (
        model_bytes({"llama.block_count": u32(0)}),
        "block_count is 0, expected a whole number from 1 to 512",
    ),
    "513 layers": (model_bytes({"llama.block_count": u32(513)}), "llama.block_count is 513"),
    "layers as text": (model_bytes({"llama.block_count": (raw.STRING, "1")}), "llama.block_count is '1'"),
    "no context": (model_bytes({"llama.context_length": u32(0)}), "llama.context_length is 0"),
    "no width": (model_bytes({"llama.embedding_length": None}), "llama.embedding_length is None"),
    "no heads": (model_bytes({"llama.attention.head_count": u32(0)}), "llama.attention.head_count is 0"),
    "heads as array": (
        model_bytes({"llama.attention.head_count": (raw.ARRAY, (raw.UINT32, [2]))}),
        "llama.attention.head_count is an array of 1",
    ),
    "uneven heads": (
        model_bytes({"llama.attention.head_count": u32(4), "llama.attention.head_count_kv": u32(3)}),
        "4 attention heads cannot share 3",
    ),
    "more heads than width": (model_bytes({"llama.attention.head_count": u32(9)}), "key_length is 0"),
    "odd head": (
        model_bytes(
            {f"llama.{k}": u32(3) for k in ("attention.key_length", "attention.value_length", "rope.dimension_count")}
        ),
        "a key has 3 numbers, expected an even count",
    ),
    "value unlike key": (model_bytes({"llama.attention.value_length": u32(8)}), "value_length is 8, and a key has 4"),
    "half a rope": (model_bytes({"llama.rope.dimension_count": u32(2)}), "rope.dimension_count is 2, and a key has 4"),
    "epsilon not a number": (
        model_bytes({"llama.attention.layer_norm_rms_epsilon": (raw.FLOAT32, math.nan)}),
        "layer_norm_rms_epsilon is nan, expected a number above 0",
    ),
    "no epsilon": (model_bytes({"llama.attention.layer_norm_rms_epsilon": None}), "layer_norm_rms_epsilon is None"),
    "rope of no base": (model_bytes({"llama.rope.freq_base": (raw.FLOAT32, 0.0)}), "llama.rope.freq_base is 0.0"),
    "unknown rope": (
        model_bytes({"llama.rope.scaling.type": (raw.STRING, "warp")}),
        "'warp', expected one of none, lin",
    ),
    "no tokens": (model_bytes({"tokenizer.ggml.tokens": None}), "tokenizer.ggml.tokens is missing"),
    "tokens are one string": (
        model_bytes({"tokenizer.ggml.tokens": (raw.STRING, "a")}),
        "tokens is missing, or no array",
    ),
    "no token in the array": (model_bytes({"tokenizer.ggml.tokens": strings([])}), "vocabulary has 0 tokens"),
    "no types": (model_bytes({"tokenizer.ggml.token_type": None}), "token_type is missing, or no array of 32-bit"),
    "types too few": (
        model_bytes({"tokenizer.ggml.token_type": (raw.ARRAY, (raw.INT32, [1]))}),
        f"vocabulary has {len(TOKENS)} tokens with 1 types",
    ),
    "types as floats": (
        model_bytes({"tokenizer.ggml.token_type": (raw.ARRAY, (raw.FLOAT32, TYPES))}),
        "tokenizer.ggml.token_type is missing, or no array of 32-bit integers",
    ),
    "no merges": (model_bytes({"tokenizer.ggml.merges": None}), "tokenizer.ggml.merges is missing"),
    "token twice": (
        model_bytes({"tokenizer.ggml.tokens": strings(["B", *TOKENS[1:]])}),
        f"tokens 0 and {TOKENS.index('B')} of the vocabulary are both 'B'",
    ),
    "token twice after a zero byte": (
        model_bytes({"tokenizer.ggml.tokens": strings(["B\0x", *TOKENS[1:]])}),
        "of the vocabulary are both",
    ),
    "empty token's name taken": (
        model_bytes({"tokenizer.ggml.tokens": strings(["", "[EMPTY_0]", *TOKENS[2:]])}),
        "tokens 0 and 1 of the vocabulary are both '[EMPTY_0]'",
    ),
    "token not UTF-8": (
        model_bytes({"tokenizer.ggml.tokens": strings([b"\xf7\xbf\xbf\xbf", *TOKENS[1:]])}),
        "a token is not UTF-8: b'\\xf7\\xbf\\xbf\\xbf'",
    ),
    "end of turn as text": (
        model_bytes({"tokenizer.ggml.token_type": retyped("<|eot_id|>", 1)}),
        "<|eot_id|>, has type 1, expected 3 (control)",
    ),
}

# Whole files of another kind.
UNSUPPORTED = {
    "other architecture": (model_bytes({"general.architecture": (raw.STRING, "qwen2")}), "architecture is 'qwen2'"),
    "no architecture": (gguf_bytes({}), "its architecture is None, expected 'llama'"),
    "adapter": (adapter_bytes(), "general.type is 'adapter', expected 'model'"),
    "sentencepiece": (model_bytes({"tokenizer.ggml.model": (raw.STRING, "llama")}), "tokenizer is 'llama'"),
    "other pre-tokenizer": (model_bytes({"tokenizer.ggml.pre": (raw.STRING, "tekken")}), "pre-tokenizer is 'tekken'"),
    "no pre-tokenizer": (
        model_bytes({"tokenizer.ggml.pre": None}),
        "pre-tokenizer is None, expected one of 'llama-bpe'",
    ),
    "split file": (model_bytes({"split.count": (raw.UINT32, 3)}), "one of the 3 parts of a split file"),
    "mixture of experts": (
        model_bytes({"llama.expert_count": u32(8)}),
        "a mixture of experts (llama.expert_count is 8)",
    ),
    "experts used, none there": (model_bytes({"llama.expert_used_count": u32(2)}), "a mixture of experts"),
    "further tokens": (model_bytes({"llama.nextn_predict_layers": u32(1)}), "layers that predict further tokens"),
    "embeddings": (model_bytes({"llama.pooling_type": u32(1)}), "gives embeddings, not text"),
    "not causal": (model_bytes({"llama.attention.causal": (raw.BOOL, False)}), "its attention is not causal"),
    "no frame": (
        model_bytes({"tokenizer.ggml.tokens": strings([t.replace("eot", "end") for t in TOKENS])}),
        f"its vocabulary of {len(TOKENS)} tokens has no <|eot_id|>",
    ),
    "byte without a token": (
        model_bytes({"tokenizer.ggml.tokens": strings(["zero", *TOKENS[1:]])}),
        "lacks the tokens of 1 bytes, the first is 0",
    ),
}

BROKEN_ADAPTERS = {
    "alpha as double": (adapter_bytes({"adapter.lora.alpha": (raw.FLOAT64, 8.0)}), "expected a finite 32-bit float"),
    "alpha not a number": (adapter_bytes({"adapter.lora.alpha": (raw.FLOAT32, math.nan)}), "alpha is nan"),
    "half a pair": (adapter_bytes(tensors=raw.PAIR[:1]), "tensor output.weight has no pair of lora_a and lora_b"),
    "tensor of another name": (adapter_bytes(tensors=(ZERO_TO_FOUR,), data=128), "tensor t has no pair"),
    "no tensors": (adapter_bytes(tensors=()), "an adapter without tensors"),
    "ranks that differ": (
        adapter_bytes(tensors=(raw.PAIR[0], ("output.weight.lora_b", (3, 4), 0, 64)), data=112),
        "shapes (8, 2) and (3, 4), which do not multiply",
    ),
    "pair of one dimension": (
        adapter_bytes(tensors=(("o.lora_a", (8,), 0, 0), ("o.lora_b", (2, 4), 0, 32))),
        "shapes (8,) and (2, 4)",
    ),
    "embedding the wrong way round": (
        adapter_bytes(
            tensors=(("token_embd.weight.lora_a", (4, 2), 0, 0), ("token_embd.weight.lora_b", (2, 8), 0, 32))
        ),
        "the pair of token_embd.weight has shapes (4, 2) and (2, 8)",
    ),
}
UNSUPPORTED_ADAPTERS = {
    "rank beyond the bound": (
        adapter_bytes(
            tensors=(("o.lora_a", (8, 65), 0, 0), ("o.lora_b", (65, 4), 0, 65 * 32)), data=65 * 32 + 65 * 16 + 32
        ),
        "the pair of o has rank 65, at most 64 goes",
    ),
    "numbers of another type": (
        adapter_bytes(tensors=(("o.lora_a", (32, 2), 2, 0), ("o.lora_b", (2, 4), 0, 64)), data=96),
        "tensor o.lora_a of an adapter has type 2",
    ),
    "model": (model_bytes(), "general.type is None, expected 'adapter'"),
    "type as number": (adapter_bytes({"general.type": u32(1)}), "general.type is 1, expected 'adapter'"),
    "other adapter": (adapter_bytes({"adapter.type": (raw.STRING, "ia3")}), "adapter.type is 'ia3', expected 'lora'"),
    "other architecture": (adapter_bytes({"general.architecture": (raw.STRING, "qwen2")}), "'qwen2', expected 'llama'"),
    "activated": (
        adapter_bytes({"adapter.alora.invocation_tokens": (raw.ARRAY, (raw.UINT32, [1]))}),
        "it is an activated LoRA",
    ),
}


def cases(table: dict[str, tuple[bytes, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("content", "words"), table.values(), ids=list(table))


def written(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


@cases(BROKEN)
def test_a_broken_file_is_refused_with_its_name_and_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ModelBroken) as caught:
        check(path)
    assert words in str(caught.value)
    assert str(path) in caught.value.message
    assert caught.value.hint


@cases(UNSUPPORTED)
def test_a_whole_file_of_another_kind_is_unsupported(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ModelUnsupported) as caught:
        check(written(tmp_path, content))
    assert words in caught.value.message
    assert caught.value.hint


@cases(BROKEN_ADAPTERS)
def test_a_broken_adapter_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ModelBroken) as caught:
        check_adapter(written(tmp_path, content))
    assert words in caught.value.message


@cases(UNSUPPORTED_ADAPTERS)
def test_another_kind_of_adapter_is_unsupported(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ModelUnsupported) as caught:
        check_adapter(written(tmp_path, content))
    assert words in caught.value.message
