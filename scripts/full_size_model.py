"""A GGUF file of exactly the shape of Llama 3.2 1B or 3B, in the tensor types of Q4_K_M or Q8_0, with random weights:
as fast, and as large, as the real one, and without its knowledge. Shapes: the model cards; tensor types: llama.cpp's
own choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np

from tests.vocabulary import vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

VOCABULARY = 128256
REAL_VOCABULARY = Path(__file__).resolve().parents[2] / "shared" / "data" / "llama3-vocab.gguf"

# Weights and bytes of a block (ggml-common.h).
Q4, Q6, Q8 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.Q8_0
F32 = gguf.GGMLQuantizationType.F32
BLOCKS = {Q4: (256, 144), Q6: (256, 210), Q8: (32, 34)}
FILE_TYPES = {"Q4_K_M": gguf.LlamaFileType.MOSTLY_Q4_K_M, "Q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}

# Llama 3.1 names three tokens that the vocabulary file of Llama 3 does not have.
RENAMED = {128004: "<|finetune_right_pad_id|>", 128008: "<|eom_id|>", 128010: "<|python_tag|>"}


@dataclass(frozen=True)
class Shape:
    """The numbers of a model, named as in a Llama's config."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head: int
    feed_forward: int


SHAPES = {
    "1b": Shape(16, 2048, 32, 8, 64, 8192),
    "3b": Shape(28, 3072, 24, 8, 128, 8192),
    "tiny": Shape(1, 256, 4, 2, 64, 256),  # for what wants the vocabulary alone
}


def build(path: Path, name: str = "1b", quant: str = "Q4_K_M") -> None:
    """Write the file: 0.8 GB in about ten seconds for the 1B in Q4_K_M, 3.4 GB for the 3B in Q8_0."""
    shape, quantized = SHAPES[name], quant == "Q8_0"
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer, name, quant)
    _add_vocabulary(writer)
    random = np.random.default_rng(0)
    _add(writer, random, "token_embd.weight", (VOCABULARY, shape.hidden), Q8 if quantized else Q6)
    _add(writer, random, "output_norm.weight", (shape.hidden,), F32)
    _add(writer, random, "rope_freqs.weight", (shape.head // 2,), F32)
    for layer in range(shape.layers):
        finer = Q6 if _gets_more_bits(layer, shape.layers) else Q4
        _add_layer(writer, random, layer, shape, (Q8, Q8) if quantized else (Q4, finer))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, name: str, quant: str) -> None:
    shape = SHAPES[name]
    writer.add_name(f"Random weights in the shape of Llama 3.2 {name.upper()}")
    writer.add_context_length(131072)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(FILE_TYPES[quant])


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    tokens, types, merges = _real_vocabulary() if REAL_VOCABULARY.exists() else _stand_in()
    for token, name in RENAMED.items():
        tokens[token] = name
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(128000)
    writer.add_eos_token_id(128009)


def _real_vocabulary() -> tuple[list[str], list[int], list[str]]:
    fields = gguf.GGUFReader(REAL_VOCABULARY).fields
    tokens, types, merges = (fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges"))
    return tokens, types, merges


def _stand_in() -> tuple[list[str], list[int], list[str]]:
    """As many tokens: the bytes, made-up words, and Llama 3's control tokens."""
    letters = vocabulary().tokens[:256]
    words = [f"word{i}" for i in range(128000 - 256)]
    names = ["<|begin_of_text|>", "<|end_of_text|>"] + [f"<|reserved_special_token_{i}|>" for i in range(254)]
    names[6:10] = ["<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"]
    return [*letters, *words, *names], [1] * 128000 + [3] * 256, ["a b"]


def _gets_more_bits(layer: int, layers: int) -> bool:
    """Q4_K_M keeps the values and the way down of these layers at six bits (llama-quant.cpp, use_more_bits)."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _add_layer(
    writer: gguf.GGUFWriter, random: np.random.Generator, layer: int, shape: Shape, kinds: tuple[int, int]
) -> None:
    kind, finer = kinds
    sizes = {
        "attn_norm": ((shape.hidden,), F32),
        "attn_q": ((shape.hidden, shape.hidden), kind),
        "attn_k": ((shape.kv_heads * shape.head, shape.hidden), kind),
        "attn_v": ((shape.kv_heads * shape.head, shape.hidden), finer),
        "attn_output": ((shape.hidden, shape.hidden), kind),
        "ffn_norm": ((shape.hidden,), F32),
        "ffn_gate": ((shape.feed_forward, shape.hidden), kind),
        "ffn_up": ((shape.feed_forward, shape.hidden), kind),
        "ffn_down": ((shape.hidden, shape.feed_forward), finer),
    }
    for name, (size, of) in sizes.items():
        _add(writer, random, f"blk.{layer}.{name}.weight", size, of)


def _add(writer: gguf.GGUFWriter, random: np.random.Generator, name: str, shape: tuple[int, ...], kind: int) -> None:
    if kind == F32:
        writer.add_tensor(name, np.ones(shape, np.float32))
        return
    writer.add_tensor(name, _random_blocks(random, shape, kind), raw_dtype=kind)


def _random_blocks(random: np.random.Generator, shape: tuple[int, ...], kind: int) -> NDArray[np.uint8]:
    """Random quants under fixed scales, so that weights are about 0.02 and have no mean."""
    rows, (weights, size) = shape[0], BLOCKS[kind]
    blocks = random.integers(0, 256, (rows * shape[1] // weights, size), np.uint8)
    if kind == Q4:  # scale and offset: weight = d * 6 bits * 4 bits - dmin * 6 bits
        blocks[:, 0:4] = np.array([1.3e-4, 7.5 * 1.3e-4], np.float16).view(np.uint8)
    elif kind == Q8:  # weight = d * 8 signed bits
        blocks[:, 0:2] = np.array([2.7e-4], np.float16).view(np.uint8)
    else:  # weight = d * 8 signed bits * 6 bits less 32
        blocks[:, 208:210] = np.array([1.5e-5], np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)
