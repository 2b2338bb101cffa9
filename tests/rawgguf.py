"""GGUF files written value by value, so that tests can write wrong ones too."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from tests.vocabulary import vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, FLOAT64 = 4, 5, 6, 7, 8, 9, 10, 12  # gguf_type
_CODES = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?", UINT64: "<Q", FLOAT64: "<d"}

Value = tuple[int, Any]  # a gguf_type and a value of it; an array's value is (type of its elements, list)
RawTensor = tuple[str, tuple[int, ...], int, int]  # name, shape, ggml_type, offset

_words = vocabulary()
MODEL: dict[str, Value] = {
    "general.architecture": (STRING, "llama"),
    "llama.block_count": (UINT32, 1),
    "llama.context_length": (UINT32, 64),
    "llama.embedding_length": (UINT32, 8),
    "llama.feed_forward_length": (UINT32, 8),
    "llama.attention.head_count": (UINT32, 2),
    "llama.attention.layer_norm_rms_epsilon": (FLOAT32, 1e-5),
    "tokenizer.ggml.model": (STRING, "gpt2"),
    "tokenizer.ggml.pre": (STRING, "llama-bpe"),
    "tokenizer.ggml.tokens": (ARRAY, (STRING, list(_words.tokens))),
    "tokenizer.ggml.token_type": (ARRAY, (INT32, list(_words.types))),
    "tokenizer.ggml.merges": (ARRAY, (STRING, list(_words.merges))),
}
ADAPTER: dict[str, Value] = {
    "general.architecture": (STRING, "llama"),
    "general.type": (STRING, "adapter"),
    "adapter.type": (STRING, "lora"),
    "adapter.lora.alpha": (FLOAT32, 8.0),
}
TENSORS: tuple[RawTensor, ...] = (("output_norm.weight", (8,), 0, 0), ("output.weight", (8, 4), 0, 32))
PAIR: tuple[RawTensor, ...] = (("output.weight.lora_a", (8, 2), 0, 0), ("output.weight.lora_b", (2, 4), 0, 64))


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def value(kind: int, content: Any) -> bytes:
    """A metadata value; bytes are taken as they are, whatever the type."""
    if kind == ARRAY and not isinstance(content, bytes):
        inner, items = content
        return struct.pack("<IQ", inner, len(items)) + b"".join(value(inner, item) for item in items)
    if kind == STRING:
        return string(content)
    return content if isinstance(content, bytes) else struct.pack(_CODES[kind], content)


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return string(name) + struct.pack(f"<I{len(shape)}qIQ", len(shape), *shape, kind, offset)


def gguf_bytes(
    metadata: dict[str, Value],
    tensors: tuple[RawTensor, ...] = (),
    *,
    data: int = 0,
    version: int = 3,
    entries: bytes = b"",
) -> bytes:
    """A file with `data` zero bytes after its header. `entries`, when given, stands for metadata and tensors."""
    body = b"".join(string(key) + struct.pack("<I", kind) + value(kind, v) for key, (kind, v) in metadata.items())
    body += b"".join(tensor(*entry) for entry in tensors)
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)) + (entries or body)
    return head + bytes(-len(head) % 32 + data)


def model_bytes(changes: Mapping[str, Value | None] | None = None, **options: Any) -> bytes:
    """A small whole model file, with some of its metadata changed, or left out where None."""
    merged: dict[str, Value | None] = {**MODEL, **(changes or {})}
    kept = {key: entry for key, entry in merged.items() if entry is not None}
    return gguf_bytes(kept, **{"tensors": TENSORS, "data": 160, **options})


def adapter_bytes(changes: Mapping[str, Value | None] | None = None, **options: Any) -> bytes:
    """A small whole adapter file, changed likewise."""
    merged: dict[str, Value | None] = {**ADAPTER, **(changes or {})}
    kept = {key: entry for key, entry in merged.items() if entry is not None}
    return gguf_bytes(kept, **{"tensors": PAIR, "data": 96, **options})
