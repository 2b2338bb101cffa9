"""In a child (`tests.limited`): a GGUF file with something else in it, at our check and, where that lets it pass, at
llama.cpp. The same number makes the same file."""

from __future__ import annotations

import random
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import gguf

from runtime.engine.llama import Context, Model
from runtime.errors import EngineError, LlamaletError, ModelBroken
from runtime.gguf import check, check_adapter
from tests.models import canary_adapter, canary_model, random_model

# Numbers that sizes, counts and types are wrong with.
NUMBERS = (0, 1, 2, 3, 7, 31, 32, 255, 256, 512, 513, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)


@cache
def _folder() -> Path:
    """With the whole files: a model, one to which the adapter belongs, and the adapter."""
    folder = Path(tempfile.mkdtemp())
    random_model(folder / "model.gguf", layers=1, embedding=32, heads=2, kv_heads=1, ff=32, context=256)
    canary_model(folder / "canary.gguf", keys=4, steps=4)
    canary_adapter(folder / "adapter.gguf", keys=4, steps=4)
    return folder


@cache
def _whole(name: str) -> tuple[bytes, int, tuple[int, ...]]:
    """A file, where its tensors' data begins, and where the keys and names in its header do."""
    path = _folder() / f"{name}.gguf"
    content, reader = path.read_bytes(), gguf.GGUFReader(path)
    data = min(int(tensor.data_offset) for tensor in reader.tensors)
    fields = [field.offset for field in reader.fields.values() if field.offset]
    return content, data, tuple(int(at) for at in (*fields, *(tensor.field.offset for tensor in reader.tensors)))


@cache
def _canary() -> Model:
    return Model(_folder() / "canary.gguf")


def load(seed: int) -> str:
    """What became of the model file, or of every third time the adapter, of that number."""
    dice = random.Random(seed)
    name = "adapter" if seed % 3 == 0 else "model"
    path = _folder() / f"broken-{name}.gguf"
    path.write_bytes(_mutated(name, dice))
    try:
        (check_adapter if name == "adapter" else check)(path)
    except LlamaletError:
        return f"{name} refused"
    try:
        _use_adapter(path) if name == "adapter" else _use_model(path)
    except ModelBroken:
        return f"{name} refused by llama.cpp"
    except EngineError:
        return f"{name} fails"
    return f"{name} works"


def _use_model(path: Path) -> None:
    model = Model(path)
    try:
        model.tokenize("Some text, and <|eot_id|>.", special=True)
        _decode(model)
    finally:
        model.free()


def _use_adapter(path: Path) -> None:
    _decode(_canary(), _canary().load_adapter(path))


def _decode(model: Model, adapter: Any = None) -> None:
    context = Context(model, n_ctx=64, n_batch=16, n_seq_max=1, threads=1)
    try:
        if adapter is not None:
            context.set_adapter(adapter)
        (row,) = context.batch.add(0, [1, 2, 3], 0, outputs=1)
        context.decode()
        context.logits(row).sum()
    finally:
        context.free()


def _mutated(name: str, dice: random.Random) -> bytes:
    whole, data, fields = _whole(name)
    content = bytearray(whole)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        _CHANGES[dice.randrange(len(_CHANGES))](content, data, fields, dice)
    return bytes(content)


def _flip(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    """One bit of the header."""
    content[dice.randrange(min(data, len(content)))] ^= 1 << dice.randrange(8)


def _number(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    """A number where one may be: behind a key, in a tensor's description."""
    at = min(dice.choice(fields) + dice.randrange(120), len(content) - 8)
    if dice.random() < 0.5:
        struct.pack_into("<Q", content, at, dice.choice(NUMBERS))
    else:
        struct.pack_into("<I", content, at, dice.choice(NUMBERS) & 0xFFFFFFFF)


def _step(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    """A byte behind a key is a little more, or less."""
    at = min(dice.choice(fields) + dice.randrange(120), len(content) - 1)
    content[at] = (content[at] + dice.choice((-2, -1, 1, 2, 16))) % 256


def _weights(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    """Other bytes among the weights."""
    size = dice.choice((1, 4, 64, 1000))
    at = dice.randrange(min(data, len(content) - 1), len(content))
    content[at : at + size] = dice.choice((dice.randbytes(size), bytes(size), b"\xff" * size))[: len(content) - at]


def _copied(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    """A piece of the header once more elsewhere in it: tokens that are equal, keys that are there twice."""
    size = dice.choice((1, 2, 8, 9, 10, 40))
    to, of = (dice.randrange(max(1, min(data, len(content)) - size)) for _ in range(2))
    content[to : to + size] = content[of : of + size]


def _cut(content: bytearray, data: int, fields: tuple[int, ...], dice: random.Random) -> None:
    if dice.random() < 0.2:
        del content[dice.randrange(64, len(content)) :]
    elif dice.random() < 0.5:
        del content[(at := dice.randrange(len(content) - 8)) : at + dice.choice((1, 4, 8, 32))]


_CHANGES = (_flip, _flip, _number, _number, _step, _weights, _copied, _cut)
