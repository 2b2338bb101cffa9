"""The header of a GGUF file: its metadata, and where its tensors lie.

Layout: docs/gguf.md of ggml-org/ggml, and what ggml/src/gguf.cpp insists on. The tensors' data is never read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from runtime.gguf.reader import ARRAY, SCALARS, STRING, Reader, open_reader
from runtime.values import Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRIES_MAX = 1 << 16  # metadata keys, and tensors; Llama 3.1 405B has 1,138 tensors
_NAME_MAX = 63  # bytes of a tensor's name, GGML_MAX_NAME less the closing zero

F32 = 0  # ggml_type
# Elements and bytes of a block, by ggml_type. Integers and intermediate types (Q8_1, Q8_K) are left out: as weights
# they pass the loader, and abort the first computation.
_BLOCKS = {
    F32: (1, 4),
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
    42: (64, 18),  # Q2_0
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's place: `shape` with the row length first, `kind` a ggml_type, `offset` from the start of the data."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself. Sizes and offsets are bytes; `kinds` has each metadata value's gguf_type."""

    path: Path
    size: int
    version: int
    metadata: Mapping[str, Any]
    kinds: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    data_offset: int


def read_header(path: str | Path) -> Header:
    """The header of a GGUF file, version 2 or 3. Raises ModelMissing and ModelBroken."""
    with open_reader(Path(path)) as reader:
        return parse(reader)


def shape(header: Header) -> Shape:
    """The model's shape. The header is one that `check` has passed."""
    get = header.metadata
    width, heads = get["llama.embedding_length"], get["llama.attention.head_count"]
    return Shape(
        layers=get["llama.block_count"],
        width=width,
        heads=heads,
        kv_heads=get.get("llama.attention.head_count_kv", heads),
        head_width=get.get("llama.attention.key_length", width // heads),
        feed_forward=get["llama.feed_forward_length"],
        vocabulary=get["tokenizer.ggml.tokens"].count,
        tied=all(tensor.name != "output.weight" for tensor in header.tensors),
    )


def parse(reader: Reader) -> Header:
    """The header that the reader, just opened, stands before."""
    version = reader.number("<I", "the version")
    if version not in (2, 3):
        raise reader.broken(f"is GGUF version {version}, expected 2 or 3.", "Take a newer file of this model.")
    n_tensors = _count(reader, "tensors")
    n_keys = _count(reader, "metadata keys")
    metadata, kinds = _read_metadata(reader, n_keys)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise reader.broken(f"is damaged: general.alignment is {alignment!r}, expected a power of two.")
    tensors = _read_tensors(reader, n_tensors, alignment)
    data_offset = _padded(reader.at, alignment) if tensors else reader.at
    for tensor in tensors:
        end = data_offset + tensor.offset + tensor.size
        if end > reader.size:
            reach = f"tensor {tensor.name} reaches to byte {end:,}"
            raise reader.broken(f"is cut short: {reach}, and the file ends at byte {reader.size:,}.")
    frozen = MappingProxyType(metadata), MappingProxyType(kinds)
    return Header(reader.path, reader.size, version, *frozen, tensors, data_offset)


def _count(reader: Reader, what: str) -> int:
    count: int = reader.number("<Q", f"the number of {what}")
    if count > _ENTRIES_MAX:
        raise reader.broken(f"is damaged: it claims {count:,} {what}, expected at most {_ENTRIES_MAX:,}.")
    return count


def _padded(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment


def _read_metadata(reader: Reader, count: int) -> tuple[dict[str, Any], dict[str, int]]:
    metadata: dict[str, Any] = {}
    kinds: dict[str, int] = {}
    for index in range(count):
        key = reader.text(f"metadata key {index + 1} of {count}")
        if not key or key in metadata:
            raise reader.broken(
                f"is damaged: metadata key {index + 1} is {'twice there' if key else 'empty'}: {key!r}."
            )
        kinds[key] = reader.number("<I", f"the type of {key}")
        metadata[key] = _read_value(reader, kinds[key], key)
    return metadata, kinds


def _read_value(reader: Reader, kind: int, key: str) -> Any:
    if kind == STRING:
        return reader.text(key)
    if kind == ARRAY:
        return reader.array(key)
    if kind not in SCALARS:
        raise reader.broken(f"is damaged: {key} is of unknown type {kind}.")
    return reader.number(SCALARS[kind], key)


def _read_tensors(reader: Reader, count: int, alignment: int) -> tuple[Tensor, ...]:
    tensors: dict[str, Tensor] = {}
    expected = 0  # ggml insists that tensors follow each other in the order of their names
    for index in range(count):
        tensor = _read_tensor(reader, f"tensor {index + 1} of {count}")
        if tensor.name in tensors:
            raise reader.broken(f"is damaged: tensor {tensor.name!r} is there twice.")
        if tensor.offset != expected:
            raise reader.broken(f"is damaged: tensor {tensor.name} lies at {tensor.offset:,}, expected {expected:,}.")
        tensors[tensor.name] = tensor
        expected = _padded(expected + tensor.size, alignment)
    return tuple(tensors.values())


def _read_tensor(reader: Reader, what: str) -> Tensor:
    name = reader.text(f"the name of {what}")
    if len(name.encode()) > _NAME_MAX:
        raise reader.broken(f"is damaged: the name of {what} has {len(name.encode())} bytes, at most {_NAME_MAX} go.")
    dimensions = reader.number("<I", f"the shape of {what}")
    if dimensions > 4:
        raise reader.broken(f"is damaged: tensor {name} has {dimensions:,} dimensions, at most 4 go.")
    shape = tuple(reader.number("<q", f"the shape of {what}") for _ in range(dimensions))
    kind, offset = reader.number("<I", f"the type of {what}"), reader.number("<Q", f"the offset of {what}")
    if kind not in _BLOCKS:
        raise reader.broken(f"holds tensor {name} of type {kind}, which is none that weights have.")
    elements, size = _BLOCKS[kind]
    if min(shape, default=1) < 1 or (shape[0] if shape else 1) % elements:
        raise reader.broken(f"is damaged: tensor {name} of type {kind} has shape {shape}; rows go in {elements}s.")
    return Tensor(name, shape, kind, offset, math.prod(shape) // elements * size)
