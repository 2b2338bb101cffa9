"""What a file must fulfil so that llama.cpp loads it without ending the process, and this runtime can run it.

The comments name the place in llama.cpp (as llama-cpp-python 0.3.36 carries it) that a check stands before; a check
without one keeps away a file that would load, and then answer wrongly.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelBroken, ModelUnsupported
from runtime.gguf.header import F32, parse
from runtime.gguf.reader import INT32, STRING, Array, open_reader

if TYPE_CHECKING:
    from runtime.gguf.header import Header
    from runtime.gguf.reader import Reader

_AGAIN = "Fetch it again."
_SUPPORTED = "Take a GGUF file of Llama 3.1 or 3.2."

# The names under which llama-vocab.cpp picks Llama 3's own pre-tokenizer. Others share it too (falcon3, pixtral, ...),
# with vocabularies that are not Llama 3's; others again overflow the stack on long text.
_PRE_TOKENIZERS = ("llama-bpe", "llama3", "llama-v3")
_FRAME = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
_CONTROL = 3  # llama_token_type
_ROPE_SCALINGS = ("none", "linear", "yarn", "longrope")
_VOCABULARY_MAX = 1 << 20
_LAYERS_MAX = 512  # LLAMA_MAX_LAYERS
_WIDTH_MAX = 1 << 20
_CONTEXT_MAX = 1 << 30
_NONE_OF = {  # each would need code that this runtime does not have, and stands before asserts in load_hparams
    "llama.expert_count": "a mixture of experts",
    "llama.expert_used_count": "a mixture of experts",
    "llama.expert_group_count": "a mixture of experts",
    "llama.nextn_predict_layers": "a model with layers that predict further tokens",
    "llama.pooling_type": "a model that gives embeddings, not text",
}


def check(path: str | Path) -> Header:
    """The header of a model file that llama.cpp can be given.

    Raises ModelMissing, ModelBroken for a file that is damaged, and ModelUnsupported for a whole one of another kind.
    A file with a vocabulary and no tensors passes: it can be loaded for its vocabulary alone.
    """
    with open_reader(Path(path)) as reader:
        header = parse(reader)
        _check_kind(header)
        _check_shape(header)
        _check_tensors(header)
        _check_vocabulary(header, reader)
    return header


def broken(header: Header, problem: str) -> ModelBroken:
    """A file that is damaged."""
    return ModelBroken(f"{header.path} is damaged: {problem}.", _AGAIN)


def unsupported(header: Header, problem: str, hint: str = _SUPPORTED) -> ModelUnsupported:
    """A whole file of another kind."""
    return ModelUnsupported(f"{header.path} is not supported: {problem}.", hint)


def _check_kind(header: Header) -> None:
    """Refuse whole files of a kind that this runtime does not run."""
    get = header.metadata.get
    if get("general.type", "model") != "model":
        raise unsupported(header, f"general.type is {get('general.type')!r}, expected 'model'")
    if get("general.architecture") != "llama":
        raise unsupported(header, f"its architecture is {get('general.architecture')!r}, expected 'llama'")
    if get("tokenizer.ggml.model") != "gpt2":
        raise unsupported(header, f"its tokenizer is {get('tokenizer.ggml.model')!r}, expected Llama 3's, 'gpt2'")
    if get("tokenizer.ggml.pre") not in _PRE_TOKENIZERS:
        names = ", ".join(map(repr, _PRE_TOKENIZERS))
        raise unsupported(header, f"its pre-tokenizer is {get('tokenizer.ggml.pre')!r}, expected one of {names}")
    if get("split.count", 0) not in (0, 1):
        hint = "Join the parts with llama-gguf-split --merge."
        raise unsupported(header, f"it is one of the {get('split.count')} parts of a split file", hint)
    if get("llama.attention.causal", True) is not True:
        raise unsupported(header, "its attention is not causal: it reads text and writes none")
    for key, kind in _NONE_OF.items():
        if get(key, 0) != 0:
            raise unsupported(header, f"it is {kind} ({key} is {_shown(get(key))})")


def _shown(value: Any) -> str:
    return f"an array of {value.count}" if isinstance(value, Array) else repr(value)


def _check_shape(header: Header) -> None:
    """Hold the numbers that llama.cpp asserts on, or divides by, in their ranges."""
    _whole(header, "llama.block_count", _LAYERS_MAX)  # load_hparams
    _whole(header, "llama.context_length", _CONTEXT_MAX)
    _whole(header, "llama.feed_forward_length", _WIDTH_MAX)
    width = _whole(header, "llama.embedding_length", _WIDTH_MAX)
    heads = _whole(header, "llama.attention.head_count", _WIDTH_MAX)
    shared = _whole(header, "llama.attention.head_count_kv", _WIDTH_MAX, heads)
    if heads % shared:  # ggml_can_mul_mat
        raise broken(header, f"{heads} attention heads cannot share {shared} of keys and values evenly")
    key = _whole(header, "llama.attention.key_length", _WIDTH_MAX, width // heads)
    for name, default in (("llama.attention.value_length", width // heads), ("llama.rope.dimension_count", key)):
        if (length := _whole(header, name, _WIDTH_MAX, default)) != key:  # models/llama.cpp, graph
            raise broken(header, f"{name} is {length}, and a key has {key} numbers; they must be equal")
    if key % 2:  # ggml_rope_impl
        raise broken(header, f"a key has {key} numbers, expected an even count")
    _positive(header, "llama.attention.layer_norm_rms_epsilon")  # ggml_compute_forward_rms_norm
    _positive(header, "llama.rope.freq_base", 10000.0)
    scaling = header.metadata.get("llama.rope.scaling.type", "none")
    if scaling not in _ROPE_SCALINGS:  # load_hparams
        raise broken(header, f"llama.rope.scaling.type is {scaling!r}, expected one of {', '.join(_ROPE_SCALINGS)}")


def _whole(header: Header, key: str, high: int, default: int | None = None) -> int:
    value = header.metadata.get(key, default)
    if type(value) is not int or not 1 <= value <= high:
        raise broken(header, f"{key} is {_shown(value)}, expected a whole number from 1 to {high:,}")
    return value


def _positive(header: Header, key: str, default: float | None = None) -> None:
    value = header.metadata.get(key, default)
    if type(value) is not float or not 0 < value < math.inf:
        raise broken(header, f"{key} is {_shown(value)}, expected a number above 0")


def _check_tensors(header: Header) -> None:
    for tensor in header.tensors:
        if math.prod(tensor.shape[1:]) == 1 and tensor.kind != F32:  # binary_op, ggml_rope_impl
            raise broken(header, f"tensor {tensor.name} of one row has type {tensor.kind}, expected {F32} (F32)")


def _check_vocabulary(header: Header, reader: Reader) -> None:
    tokens = _vocabulary_array(header, "tokens", STRING)
    types = _vocabulary_array(header, "token_type", INT32)
    _vocabulary_array(header, "merges", STRING)
    if not 1 <= tokens.count <= _VOCABULARY_MAX:
        raise broken(header, f"its vocabulary has {tokens.count:,} tokens, expected 1 to {_VOCABULARY_MAX:,}")
    if types.count != tokens.count:
        raise broken(header, f"its vocabulary has {tokens.count:,} tokens with {types.count:,} types")
    ids = _ids_by_token(header, reader.strings(tokens, "tokenizer.ggml.tokens"))
    for name in _FRAME:
        if name not in ids:
            raise unsupported(header, f"its vocabulary of {tokens.count:,} tokens has no {name}")
        # As anything but a control token, a user could type it, or the prompt's own would be read as plain text.
        if (kind := reader.int32(types, ids[name])) != _CONTROL:
            raise broken(header, f"token {ids[name]}, {name}, has type {kind}, expected {_CONTROL} (control)")
    if missing := [byte for byte, token in enumerate(_byte_tokens()) if token not in ids]:
        # The tokenizer of llama.cpp leaves out, without a word, a byte that has no token.
        raise unsupported(header, f"its vocabulary lacks the tokens of {len(missing)} bytes, the first is {missing[0]}")


def _vocabulary_array(header: Header, name: str, kind: int) -> Array:
    value = header.metadata.get(f"tokenizer.ggml.{name}")
    if not isinstance(value, Array) or value.kind != kind:
        wanted = "strings" if kind == STRING else "32-bit integers"
        raise broken(header, f"tokenizer.ggml.{name} is missing, or no array of {wanted}")
    return value


def _ids_by_token(header: Header, tokens: list[bytes]) -> dict[str, int]:
    """Token ids by text. llama-vocab.cpp aborts on two alike, cuts them at a zero byte, and names the empty ones."""
    try:
        texts = [token.decode() for token in tokens]
    except UnicodeDecodeError as error:
        raise broken(header, f"a token is not UTF-8: {error.object[:40]!r}") from None
    ids: dict[str, int] = {}
    for index, text in enumerate(texts):
        first = ids.setdefault(text.partition("\0")[0] or f"[EMPTY_{index}]", index)
        if first != index:
            raise broken(header, f"tokens {first} and {index} of the vocabulary are both {text!r}")
    return ids


def _byte_tokens() -> list[str]:
    """The token of each byte: GPT-2's stand-in for it (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]
