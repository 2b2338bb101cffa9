"""The trained model as a GGUF file, its matrices in Q8_0, with what `runtime.gguf` and llama.cpp want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

from scripts.demo.vocabulary import SPECIAL

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo.network import Llama, Shape
    from scripts.demo.vocabulary import Vocabulary

NAME = "llamalet demo"
NORMAL, CONTROL = 1, 3  # llama_token_type
F32, Q8 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.Q8_0


def write(file: Path, network: Llama, words: Vocabulary) -> None:
    """Norms stay float32, and matrices become Q8_0: 34 bytes for 32 weights."""
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(file, "llama")
    _describe(writer, network.shape)
    _add_vocabulary(writer, words)
    for name, weight in network.named_parameters():
        values = weight.detach().float().numpy()
        if values.ndim == 1:
            writer.add_tensor(name, values.astype(np.float32), raw_dtype=F32)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, Q8), raw_dtype=Q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, shape: Shape) -> None:
    head = shape.width // shape.heads
    writer.add_name(NAME)
    writer.add_description("A tiny model of llamalet's own, for trying things out. Not a Llama of Meta's.")
    writer.add_author("llamalet")
    writer.add_license("MIT")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)


def _add_vocabulary(writer: gguf.GGUFWriter, words: Vocabulary) -> None:
    special = {*SPECIAL}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(list(words.tokens))
    writer.add_token_types([CONTROL if token in special else NORMAL for token in words.tokens])
    writer.add_token_merges([f"{left} {right}" for left, right in words.merges])
    writer.add_bos_token_id(words.tokens.index("<|begin_of_text|>"))
    writer.add_eos_token_id(words.tokens.index("<|eot_id|>"))
