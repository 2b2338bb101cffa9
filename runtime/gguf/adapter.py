"""What a LoRA adapter's file must fulfil before llama.cpp sees it.

llama.cpp checks shapes, and no numbers: with one that is not finite every answer is noise. So all are read here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelBroken
from runtime.gguf.check import broken, unsupported
from runtime.gguf.header import F32, read_header
from runtime.gguf.reader import FLOAT32

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.gguf.header import Header, Tensor

MAX_BYTES = 512 << 20  # of a file
MAX_RANK = 64  # twice what Workers AI takes
_F16, _Q8_0, _BF16 = 1, 8, 30  # ggml_type; what llama.cpp's converter of adapters writes, besides F32
_CHUNK = 34 << 17  # bytes that are looked at together: whole numbers of each type, and blocks of Q8_0


def check_adapter(path: str | Path, base: Header | None = None) -> Header:
    """The header of a LoRA adapter's file that llama.cpp can be given, for the model with the header `base`.

    Raises ModelMissing, ModelBroken for a file that is damaged or made for another model, and ModelUnsupported for one
    of another kind.
    """
    header = read_header(path)
    _check_kind(header)
    if header.size > MAX_BYTES:
        raise unsupported(header, f"it has {header.size:,} bytes, at most {MAX_BYTES:,} go", _SMALLER)
    key = "adapter.lora.alpha"
    if header.kinds.get(key, FLOAT32) != FLOAT32 or not math.isfinite(header.metadata.get(key, 0.0)):
        raise broken(header, f"{key} is {header.metadata[key]!r}, expected a finite 32-bit float")
    _check_pairs(header)
    if base is not None:
        _check_base(header, base)
    _check_numbers(header)
    return header


_SMALLER = "Take an adapter of a lower rank."


def _check_kind(header: Header) -> None:
    expected = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": "llama"}
    for key, value in expected.items():
        # llama-adapter.cpp aborts where one of these is there, and no string.
        if header.metadata.get(key) != value:
            raise unsupported(
                header, f"{key} is {header.metadata.get(key)!r}, expected {value!r}", "Take a LoRA adapter."
            )
    if "adapter.alora.invocation_tokens" in header.metadata:
        raise unsupported(header, "it is an activated LoRA, which works from a token on", "Take a plain LoRA adapter.")


def _weights(header: Header) -> dict[str, Tensor]:
    """Those that come in pairs, A and B, by name. The norms of a model are not looked at by llama.cpp."""
    return {tensor.name: tensor for tensor in header.tensors if not tensor.name.endswith("_norm.weight")}


def _check_pairs(header: Header) -> None:
    """Each weight of an adapter has a pair of matrices, A and B, of one rank."""
    tensors = _weights(header)
    names = sorted({name.removesuffix(".lora_a").removesuffix(".lora_b") for name in tensors})
    for name in names:
        if not {f"{name}.lora_a", f"{name}.lora_b"} <= tensors.keys():
            raise broken(header, f"tensor {name} has no pair of lora_a and lora_b")
        a, b = tensors[f"{name}.lora_a"], tensors[f"{name}.lora_b"]
        if len(a.shape) != 2 or len(b.shape) != 2 or _rank(a) != b.shape[0]:  # ggml_mul_mat
            raise broken(header, f"the pair of {name} has shapes {a.shape} and {b.shape}, which do not multiply")
        if _rank(a) > MAX_RANK:
            raise unsupported(header, f"the pair of {name} has rank {_rank(a)}, at most {MAX_RANK} goes", _SMALLER)
    if not names:
        raise broken(header, "an adapter without tensors")


def _is_embedding(a: Tensor) -> bool:
    return a.name == "token_embd.weight.lora_a"


def _rank(a: Tensor) -> int:
    # The embedding's rows are looked up and not multiplied, so its A lies the other way round (llm_build_inp_embd).
    return a.shape[0] if _is_embedding(a) else a.shape[1]


def _check_base(header: Header, base: Header) -> None:
    """Every weight that it changes must be there, in its shape: else it was made for another model."""
    shapes = {tensor.name: tensor.shape for tensor in base.tensors}
    tensors = _weights(header)
    for name, b in tensors.items():
        if not name.endswith(".lora_b"):
            continue
        weight = name.removesuffix(".lora_b")
        a = tensors[f"{weight}.lora_a"]
        changed = (b.shape[1], a.shape[1]) if _is_embedding(a) else (a.shape[0], b.shape[1])
        if shapes.get(weight) != changed:
            found = f"there of shape {shapes[weight]}" if weight in shapes else "not there"
            raise ModelBroken(
                f"{header.path} is an adapter of another model: it changes {weight} of shape {changed}, which in "
                f"{base.path} is {found}.",
                "Name it for the model that it was trained on.",
            )


def _check_numbers(header: Header) -> None:
    import numpy as np

    finite = {F32: _floats("<f4"), _F16: _floats("<f2"), _BF16: _bfloats, _Q8_0: _scales}
    with header.path.open("rb") as file:
        for tensor in header.tensors:
            if tensor.kind not in finite:
                hint = "Convert the adapter to F32, F16, BF16 or Q8_0."
                raise unsupported(header, f"tensor {tensor.name} of an adapter has type {tensor.kind}", hint)
            file.seek(header.data_offset + tensor.offset)
            left = tensor.size
            while left:
                data = file.read(min(left, _CHUNK))
                if not data:
                    raise broken(header, f"it shrank while {tensor.name} was read")
                left -= len(data)
                if not np.isfinite(finite[tensor.kind](data)).all():
                    raise broken(header, f"tensor {tensor.name} holds numbers that are not finite")


def _floats(kind: str) -> Any:
    import numpy as np

    return lambda data: np.frombuffer(data, kind)


def _bfloats(data: bytes) -> Any:
    import numpy as np

    return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)


def _scales(data: bytes) -> Any:
    """The float16 before each 32 numbers of Q8_0, which are whole themselves."""
    import numpy as np

    return np.frombuffer(data, np.dtype([("scale", "<f2"), ("numbers", "i1", 32)]))["scale"]
