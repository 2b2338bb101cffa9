"""The trained model as a GGUF file, its matrices in Q8_0, with what `runtime.gguf` and llama.cpp want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

from scripts.demo.vocabulary import NAMED
from tests.models import Shape, add_vocabulary, describe, finish
from tests.vocabulary import CONTROL, NORMAL, Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo import network
    from scripts.demo.vocabulary import Vocabulary as Words

NAME = "llamalet demo"
F32, Q8 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0


def write(file: Path, llama: network.Llama, words: Words) -> None:
    """Norms stay float32, and matrices become Q8_0: 34 bytes for 32 weights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name(NAME)
    writer.add_description("A tiny model of llamalet's own, for trying things out. Not a Llama of Meta's.")
    writer.add_author("llamalet")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    describe(writer, _shape(llama.shape), rope_base=llama.shape.rope_base)
    add_vocabulary(writer, _vocabulary(words))
    for name, weight in llama.named_parameters():
        values = weight.detach().float().numpy()
        if values.ndim == 1:
            writer.add_tensor(name, values.astype(np.float32), raw_dtype=F32)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, Q8), raw_dtype=Q8)
    finish(writer)


def _shape(shape: network.Shape) -> Shape:
    inner = shape.width // shape.heads
    return Shape(shape.layers, shape.width, shape.heads, shape.heads, inner, shape.feed_forward, shape.context)


def _vocabulary(words: Words) -> Vocabulary:
    types = tuple(CONTROL if token in NAMED else NORMAL for token in words.tokens)
    return Vocabulary(words.tokens, types, tuple(f"{left} {right}" for left, right in words.merges))
