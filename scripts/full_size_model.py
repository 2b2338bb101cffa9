"""A GGUF file of exactly Llama 3.2 1B's shape and Q4_K_M's tensor types, with random weights: as fast, and as large, as
the real one, and without its knowledge. Shapes: the model card; tensor types: llama.cpp's own choice for Q4_K_M."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np

from tests.vocabulary import vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD, FEED_FORWARD, VOCABULARY = 16, 2048, 32, 8, 64, 8192, 128256
REAL_VOCABULARY = Path(__file__).resolve().parents[2] / "shared" / "data" / "llama3-vocab.gguf"

# Bytes of a block of 256 weights, and where its float16 scales stand (ggml-common.h).
BLOCKS = {gguf.GGMLQuantizationType.Q4_K: 144, gguf.GGMLQuantizationType.Q6_K: 210}
Q4, Q6, F32 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.F32

# Llama 3.1 names three tokens that the vocabulary file of Llama 3 does not have.
RENAMED = {128004: "<|finetune_right_pad_id|>", 128008: "<|eom_id|>", 128010: "<|python_tag|>"}


def build(path: Path) -> None:
    """Write the file, 0.8 GB, in about ten seconds."""
    writer = gguf.GGUFWriter(path, "llama")
    _describe(writer)
    _add_vocabulary(writer)
    random = np.random.default_rng(0)
    _add(writer, random, "token_embd.weight", (VOCABULARY, HIDDEN), Q6)
    _add(writer, random, "output_norm.weight", (HIDDEN,), F32)
    _add(writer, random, "rope_freqs.weight", (HEAD // 2,), F32)
    for layer in range(LAYERS):
        _add_layer(writer, random, f"blk.{layer}.", Q6 if _gets_more_bits(layer) else Q4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter) -> None:
    writer.add_name("Random weights in the shape of Llama 3.2 1B")
    writer.add_context_length(131072)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(HEAD)
    writer.add_value_length(HEAD)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(500000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)


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


def _gets_more_bits(layer: int) -> bool:
    """Q4_K_M keeps the values and the way down of these layers at six bits (llama-quant.cpp, use_more_bits)."""
    return layer < LAYERS // 8 or layer >= 7 * LAYERS // 8 or (layer - LAYERS // 8) % 3 == 2


def _add_layer(writer: gguf.GGUFWriter, random: np.random.Generator, prefix: str, finer: int) -> None:
    shapes = {
        "attn_norm": ((HIDDEN,), F32),
        "attn_q": ((HIDDEN, HIDDEN), Q4),
        "attn_k": ((KV_HEADS * HEAD, HIDDEN), Q4),
        "attn_v": ((KV_HEADS * HEAD, HIDDEN), finer),
        "attn_output": ((HIDDEN, HIDDEN), Q4),
        "ffn_norm": ((HIDDEN,), F32),
        "ffn_gate": ((FEED_FORWARD, HIDDEN), Q4),
        "ffn_up": ((FEED_FORWARD, HIDDEN), Q4),
        "ffn_down": ((HIDDEN, FEED_FORWARD), finer),
    }
    for name, (shape, kind) in shapes.items():
        _add(writer, random, f"{prefix}{name}.weight", shape, kind)


def _add(writer: gguf.GGUFWriter, random: np.random.Generator, name: str, shape: tuple[int, ...], kind: int) -> None:
    if kind == F32:
        writer.add_tensor(name, np.ones(shape, np.float32))
        return
    writer.add_tensor(name, _random_blocks(random, shape, kind), raw_dtype=kind)


def _random_blocks(random: np.random.Generator, shape: tuple[int, ...], kind: int) -> NDArray[np.uint8]:
    """Random quants under fixed scales, so that weights are about 0.02 and have no mean."""
    rows, size = shape[0], BLOCKS[kind]
    blocks = random.integers(0, 256, (rows * shape[1] // 256, size), np.uint8)
    if kind == Q4:  # scale and offset: weight = d * 6 bits * 4 bits - dmin * 6 bits
        blocks[:, 0:4] = np.array([1.3e-4, 7.5 * 1.3e-4], np.float16).view(np.uint8)
    else:  # weight = d * 8 signed bits * 6 bits less 32
        blocks[:, 208:210] = np.array([1.5e-5], np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)
