"""Tiny Llama models in GGUF, made in a moment: a vocabulary like Llama 3's, random weights, and the canary.

The canary's weights are set by hand so that its greedy answer is known in advance. A prompt holds one key token, <K07>;
the answer is " k07i00 k07i01 k07i02 ...". The key comes to the answer only through attention, that is through the KV
cache; the step only from the token before. So an answer that was lost, cut or mixed with another shows in its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from tests.vocabulary import CONTROL, NORMAL, USER_DEFINED, Vocabulary, spell, vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.floating[Any]]

KEYS, STEPS = 64, 32


@dataclass(frozen=True)
class Shape:
    """The numbers of a model, named as in a Llama's config."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    ff: int
    context: int


def random_model(
    path: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    embedding: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    ff: int = 128,
    context: int = 2048,
    vocab: Vocabulary | None = None,
    dtype: type[np.floating[Any]] = np.float32,
    scale: float = 4.0,
    gain: float = 2.0,
    tied: bool = False,
) -> Vocabulary:
    """Write a model of random weights, the same for the same seed. `scale` is the standard deviation of its logits,
    `gain` by how much a layer's matrices enlarge what goes in: 1 keeps it, as weights are initialised for training, 2
    makes attention choose, where it would average.

    With `tied`, the embedding serves as output matrix too, as in Llama 3.2. Control tokens get logits near zero, so
    that a greedy answer holds none.
    """
    vocab = vocab or vocabulary()
    shape = Shape(layers, embedding, heads, kv_heads, embedding // heads, ff, context)
    random = np.random.default_rng(seed)
    control = np.array(vocab.types) == CONTROL
    rows = random.normal(0, scale / np.sqrt(embedding), (len(vocab), embedding))
    rows[control] *= 0.01
    tensors: dict[str, Matrix] = {"token_embd.weight": rows}
    if not tied:
        tensors |= {"token_embd.weight": random.normal(0, 1, rows.shape), "output.weight": rows}
    for layer in range(layers):
        tensors |= {
            name: random.normal(0, gain / np.sqrt(size[1]), size) for name, size in _layer_sizes(shape, layer).items()
        }
    _write_model(path, f"random-{seed}", shape, vocab, tensors, dtype)
    return vocab


def _layer_sizes(shape: Shape, layer: int) -> dict[str, tuple[int, int]]:
    """The matrices of a layer, (outputs, inputs) each."""
    width, inner, shared = shape.width, shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    sizes = {"attn_q": (inner, width), "attn_k": (shared, width), "attn_v": (shared, width)}
    sizes |= {"attn_output": (width, inner), "ffn_gate": (shape.ff, width), "ffn_up": (shape.ff, width)}
    sizes |= {"ffn_down": (width, shape.ff)}
    return {f"blk.{layer}.{name}.weight": size for name, size in sizes.items()}


@dataclass(frozen=True)
class _Plan:
    """Which number of the canary's state means what: one for each step, each key as read, each key as attended to."""

    keys: int
    steps: int

    @property
    def start(self) -> int:  # set in every token that is no step, so that step 0 follows
        return self.steps + 2 * self.keys

    @property
    def one(self) -> int:  # set in every token, and asks for the key
        return self.start + 1

    @property
    def width(self) -> int:
        return -(-(self.one + 1) // 32) * 32

    @property
    def head_width(self) -> int:
        return max(64, -(-self.keys // 32) * 32)

    def read(self, key: int) -> int:
        return self.steps + key

    def attended(self, key: int) -> int:
        return self.steps + self.keys + key

    def normed(self, count: int) -> float:
        """What a one becomes by the RMS norm among `count` ones."""
        return float(np.sqrt(self.width / count))


def key_token(key: int) -> str:
    """What a prompt for the canary holds, anywhere and as plain text."""
    return f"<K{key:02d}>"


def expected(key: int, n: int, *, steps: int = STEPS, letter: str = "k") -> str:
    """The first `n` tokens of the canary's answer to a prompt with `key_token(key)`."""
    return "".join(_step_text(key, step % steps, letter) for step in range(n))


def _step_text(key: int, step: int, letter: str) -> str:
    return f" {letter}{key:02d}i{step:02d}"


def canary_model(
    path: Path,
    *,
    keys: int = KEYS,
    steps: int = STEPS,
    eos_after: int | None = None,
    shift: int = 0,
    letter: str = "k",
    says: Mapping[int, Sequence[str]] | None = None,
) -> Vocabulary:
    """Write the canary. Every prompt must hold one key token, once or more; other tokens do not matter.

    `eos_after`: <|eot_id|> follows after that many tokens, at most `steps`. `shift` makes a sibling that answers to key
    k with the text of key k + shift. The right token's logit is 80, others reach 40 at most: sampling at the usual
    temperatures finds it too.

    `letter` makes a sibling with other words: " m07i00" in place of " k07i00".

    `says`: by key, the text of its first steps in place of the usual; each must be of no other token.
    """
    plan = _Plan(keys, steps)
    said = {(key, step): text for key, texts in (says or {}).items() for step, text in enumerate(texts)}
    places = [(key, step) for key in range(keys) for step in range(steps)]
    answers = [spell(said.get(place) or _step_text(*place, letter)) for place in places]
    extra = {key_token(key): USER_DEFINED for key in range(keys)} | dict.fromkeys(answers, NORMAL)
    vocab = vocabulary(extra=extra)
    first_key, first_answer = vocab.id(key_token(0)), vocab.id(answers[0])
    shape = Shape(1, plan.width, 1, 1, plan.head_width, 32, 131072)
    tensors: dict[str, Matrix] = {name: np.zeros(size) for name, size in _layer_sizes(shape, 0).items()}
    embedding, output = np.zeros((2, len(vocab), plan.width))
    embedding[:, [plan.one, plan.start]] = 1
    gain = 40 / plan.normed(3)
    for key in range(keys):
        embedding[first_key + key, plan.read(key)] = 1
        for step in range(steps):
            row = first_answer + key * steps + step
            embedding[row, plan.start] = 0
            embedding[row, step] = 1
            output[row, [(step - 1) % steps, plan.attended(key)]] = gain
            output[row, plan.start] = gain if step == 0 else 0
    if eos_after is not None:
        output[vocab.id("<|eot_id|>"), eos_after - 1] = 3 * gain
    tensors |= {"token_embd.weight": embedding, "output.weight": output}
    _attend_to_keys(tensors, plan, shift)
    _write_model(path, "canary", shape, vocab, tensors, np.float32)
    return vocab


def _attend_to_keys(tensors: dict[str, Matrix], plan: _Plan, shift: int) -> None:
    """Give key tokens all the attention, wherever they stand, and let their keys through."""
    # Scores of 40 against 0: 8,000 other tokens take a share of 8000 / e^40, which is nothing.
    score = 40 * np.sqrt(plan.head_width) / (plan.normed(2) * plan.normed(3))
    tensors["blk.0.attn_q.weight"][0, plan.one] = np.sqrt(score)
    for key in range(plan.keys):
        tensors["blk.0.attn_k.weight"][0, plan.read(key)] = np.sqrt(score)
        tensors["blk.0.attn_v.weight"][key, plan.read(key)] = 1 / plan.normed(3)
        tensors["blk.0.attn_output.weight"][plan.attended((key + shift) % plan.keys), key] = 1
    # Divides the angles by which positions turn queries and keys: they no longer matter.
    tensors["rope_freqs.weight"] = np.full(plan.head_width // 2, 1e9)


def canary_adapter(path: Path, *, keys: int = KEYS, steps: int = STEPS, shift: int = 1) -> None:
    """Write a LoRA adapter with which the canary answers to key k as to key (k + shift) % keys. Its rank is `keys`."""
    plan = _Plan(keys, steps)
    a, b = np.zeros((keys, plan.head_width), np.float32), np.zeros((plan.width, keys), np.float32)
    for key in range(keys):
        a[key, key] = 1
        b[plan.attended(key), key] -= 1
        b[plan.attended((key + shift) % keys), key] += 1
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(keys))  # llama.cpp scales by alpha / rank
    writer.add_tensor("blk.0.attn_output.weight.lora_a", a)
    writer.add_tensor("blk.0.attn_output.weight.lora_b", b)
    finish(writer)


def _write_model(
    path: Path, name: str, shape: Shape, vocab: Vocabulary, tensors: dict[str, Matrix], dtype: type[np.floating[Any]]
) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    describe(writer, shape)
    add_vocabulary(writer, vocab)
    norms = ["output_norm", *(f"blk.{layer}.{n}_norm" for layer in range(shape.layers) for n in ("attn", "ffn"))]
    tensors = tensors | {f"{norm}.weight": np.ones(shape.width) for norm in norms}
    for key, values in tensors.items():
        writer.add_tensor(key, values.astype(np.float32 if values.ndim == 1 else dtype))
    finish(writer)


def describe(writer: gguf.GGUFWriter, shape: Shape, *, rope_base: float = 500000.0) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.ff)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(rope_base)
    writer.add_layer_norm_rms_eps(1e-5)


def add_vocabulary(writer: gguf.GGUFWriter, vocab: Vocabulary) -> None:
    writer.add_vocab_size(len(vocab))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(list(vocab.tokens))
    writer.add_token_types(list(vocab.types))
    writer.add_token_merges(list(vocab.merges))
    writer.add_bos_token_id(vocab.id("<|begin_of_text|>"))
    writer.add_eos_token_id(vocab.id("<|eot_id|>"))


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
