"""The likeliest answer, token by token, straight from llama.cpp: what the engine's own answers are held against.

One sequence, no sampler, nothing of `runtime`. A failure here is the test model's or llama.cpp's.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # else idle threads burn the cores that tests share

from llama_cpp import llama_cpp as c

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from numpy.typing import NDArray

_BATCH = 512


class Greedy:
    """A model with a context of one sequence, for a `with` block."""

    def __init__(self, path: Path, *, context: int = 2048) -> None:
        params = c.llama_model_default_params()
        params.n_gpu_layers = 0
        self.model = c.llama_model_load_from_file(str(path).encode(), params)
        assert self.model, f"llama.cpp does not load {path}"
        self.vocab = c.llama_model_get_vocab(self.model)
        options = c.llama_context_default_params()
        options.n_ctx, options.n_batch, options.n_threads, options.n_threads_batch = context, _BATCH, 1, 1
        self.context = c.llama_init_from_model(self.model, options)
        self.n_vocab: int = c.llama_vocab_n_tokens(self.vocab)

    def __enter__(self) -> Greedy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        c.llama_free(self.context)
        c.llama_model_free(self.model)

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        data = text.encode()
        tokens = (c.llama_token * (len(data) + 1))()
        count = c.llama_tokenize(self.vocab, data, len(data), tokens, len(tokens), False, special)
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(64)
        size = c.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[:size]

    def use_adapter(self, path: Path) -> None:
        adapter = c.llama_adapter_lora_init(self.model, str(path).encode())
        assert adapter, f"llama.cpp does not load {path}"
        adapters = (c.llama_adapter_lora_p_ctypes * 1)(adapter)
        assert c.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(1.0)) == 0

    def forget(self) -> None:
        c.llama_memory_clear(c.llama_get_memory(self.context), False)

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Decode further tokens of the sequence; the logits (n_vocab,) after the last, good until the next call."""
        for start in range(0, len(tokens), _BATCH):
            part = tokens[start : start + _BATCH]
            held = (c.llama_token * len(part))(*part)  # the batch points into it
            assert c.llama_decode(self.context, c.llama_batch_get_one(held, len(part))) == 0
        row: Any = c.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(row, (self.n_vocab,))

    def answer(self, prompt: Sequence[int], n: int) -> list[int]:
        """At most `n` tokens after the prompt; one that ends the answer is the last."""
        self.forget()
        tokens: list[int] = []
        logits = self.logits(prompt)
        while len(tokens) < n:
            tokens.append(int(logits.argmax()))
            if c.llama_vocab_is_eog(self.vocab, tokens[-1]) or len(tokens) == n:
                break
            logits = self.logits(tokens[-1:])
        return tokens

    def text(self, prompt: Sequence[int], n: int) -> str:
        return b"".join(map(self.piece, self.answer(prompt, n))).decode()
