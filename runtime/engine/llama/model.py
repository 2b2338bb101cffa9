"""Weights and vocabulary of one GGUF file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from typing import TYPE_CHECKING, Any

from runtime.engine.llama.binding import c, forget_error, last_error
from runtime.errors import ContextTooLong, EngineClosed, EngineError, InvalidRequest, ModelBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TAG = b"<|python_tag|>"
# As many bytes as the largest context of a Llama 3 has room for: 131,072 tokens of 128 blanks, the longest there is.
# Also, llama.cpp counts bytes in 32 bits, and reads beyond what there is where they overflow.
MAX_TEXT = 16 << 20


class Model:
    """Weights and vocabulary of one GGUF file, which `runtime.gguf.check` must have passed.

    Tokenizing is safe from any thread, at any time.
    """

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int = 0,
        progress: Callable[[float], None] | None = None,
        vocab_only: bool = False,
    ) -> None:
        """Load the file. `progress` is called with 0.0 to 1.0; an exception in it stops the load and is raised here."""
        self.n_contexts = 0  # those that were made of it and not freed
        self.adapters: list[Any] = []
        self._in_use = threading.Lock()  # callers tokenize on their own threads, while the engine's frees the model
        params = c.llama_model_default_params()
        params.n_gpu_layers = gpu_layers
        params.vocab_only = vocab_only
        if gpu_layers == 0:
            # Read, not mapped: the loader rearranges most matrices into memory of its own, and their pages of a mapped
            # file stay resident beside that (docs/fit.md: 867 instead of 1,304 MiB).
            params.load_mode = c.LLAMA_LOAD_MODE_NONE
        failure: list[BaseException] = []
        params.progress_callback = c.llama_progress_callback(lambda done, _: _report(progress, done, failure))
        forget_error()
        self._model = c.llama_model_load_from_file(os.fsencode(path), params)
        if failure:
            self.free()
            raise failure[0]
        if not self._model:
            raise ModelBroken(f"llama.cpp cannot load {path}: {last_error()}.")
        self.vocab = c.llama_model_get_vocab(self._model)
        self.n_vocab: int = c.llama_vocab_n_tokens(self.vocab)
        self.trained_context: int = c.llama_model_n_ctx_train(self._model)
        self._pieces: dict[int, bytes] = {}

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of `text`. Only with `special` does text like `<|eot_id|>` become a control token."""
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"Text has a lone surrogate at position {error.start}, which is no character."
            ) from None
        if not data:
            return []
        if len(data) > MAX_TEXT:
            raise ContextTooLong(
                f"A text of the prompt has {len(data)} bytes; no context holds more than {MAX_TEXT}.", "Shorten it."
            )
        room = len(data) + 2
        tokens = (c.llama_token * room)()
        with self.in_use():
            count: int = c.llama_tokenize(self.vocab, data, len(data), tokens, room, False, special)
        if count < 0:
            raise EngineError(f"llama.cpp gave {-count} tokens for {len(data)} bytes of text.")
        return list(tokens[:count])

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Not freed meanwhile: for callers' threads, which read the vocabulary while the engine's may free the model.

        Raises `EngineClosed` when it is freed already.
        """
        with self._in_use:
            self.check_open()
            yield

    def check_open(self) -> None:
        """Raises `EngineClosed` when it is freed."""
        if not self._model:
            raise EngineClosed("The engine is closed.")

    def piece(self, token: int, *, tagged: bool = False) -> bytes:
        """The bytes of a token, which may be part of a character; control tokens have none.

        tagged: but for `<|python_tag|>`, which has its text, since what follows it may be a call.
        """
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._read_piece(token)
        if not tagged or known:
            return known
        self._check_token(token)
        return TAG if c.llama_vocab_get_text(self.vocab, token) == TAG else known

    def _read_piece(self, token: int) -> bytes:
        self._check_token(token)
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            count: int = c.llama_token_to_piece(self.vocab, token, buffer, size, 0, False)
            if count >= 0:
                return buffer.raw[:count]
            size = -count

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn or its text with this token (any end-of-generation token)."""
        self._check_token(token)
        return bool(c.llama_vocab_is_eog(self.vocab, token))

    def _check_token(self, token: int) -> None:
        self.check_open()
        if not 0 <= token < self.n_vocab:
            raise EngineError(f"Token {token} is outside of the vocabulary of {self.n_vocab}.")

    def load_adapter(self, path: Path) -> Any:
        """A LoRA adapter for `Context.set_adapter`; it is freed with the model."""
        self.check_open()
        forget_error()
        adapter = c.llama_adapter_lora_init(self._model, os.fsencode(path))
        if not adapter:
            raise ModelBroken(f"llama.cpp cannot use the adapter {path}: {last_error()}.")
        self.adapters.append(adapter)
        return adapter

    def free(self) -> None:
        """Free the weights; the contexts made from them must be freed before."""
        with self._in_use:
            if self._model:
                if self.n_contexts:
                    raise EngineError(f"A model cannot be freed before the {self.n_contexts} contexts made of it.")
                c.llama_model_free(self._model)
                self._model = None


def _report(progress: Callable[[float], None] | None, done: float, failure: list[BaseException]) -> bool:
    if progress is None:
        return True
    try:
        progress(done)
    except BaseException as error:
        failure.append(error)
        return False
    return True
