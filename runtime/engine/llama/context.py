"""A KV cache, and the batches decoded with it."""

from __future__ import annotations

import ctypes
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from runtime.engine.llama.binding import c, forget_error, last_error
from runtime.engine.llama.pulse import Pulse
from runtime.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from runtime.engine.llama.model import Model

MAX_SEQUENCES = 256  # LLAMA_MAX_SEQ: llama.cpp refuses more
GUESSES = 1  # tokens that a sequence may guess at once, each of which needs logits
MAX_THREADS = 512  # with far more, libgomp ends the process
MAX_CELLS = 1 << 30  # llama.cpp counts positions in 32 bits, and takes a negative context for a huge one
KV_TYPES = ("f16", "q8_0")
ABORTED = 2  # llama_decode's return value for a batch that the abort callback ended


class Batch:
    """Tokens for one decode: rows of (token, position, sequence), some asking for logits.

    The arrays are allocated once and shared with llama.cpp, so that a step allocates nothing.
    """

    def __init__(self, model: Model, capacity: int, n_seq_max: int, n_ctx: int) -> None:
        self._n_vocab, self._n_seq_max, self._n_ctx, self.capacity = model.n_vocab, n_seq_max, n_ctx, capacity
        self.tokens = np.zeros(capacity, np.int32)
        self.positions = np.zeros(capacity, np.int32)
        self.sequences = np.zeros(capacity, np.int32)
        self.outputs = np.zeros(capacity, np.int8)
        self._ones = np.ones(capacity, np.int32)
        self._sequence_rows = self.sequences.ctypes.data + 4 * np.arange(capacity, dtype=np.uintp)
        self.struct = c.llama_batch()
        self.struct.token = self._pointer(self.tokens, c.llama_token)
        self.struct.pos = self._pointer(self.positions, c.llama_pos)
        self.struct.n_seq_id = self._pointer(self._ones, ctypes.c_int32)
        self.struct.seq_id = self._pointer(self._sequence_rows, ctypes.POINTER(c.llama_seq_id))
        self.struct.logits = self._pointer(self.outputs, ctypes.c_int8)
        self.clear()

    @staticmethod
    def _pointer(array: NDArray[Any], kind: Any) -> Any:
        return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))

    def __len__(self) -> int:
        return self.struct.n_tokens  # type: ignore[no-any-return]

    def clear(self) -> None:
        self.struct.n_tokens = 0
        self.n_outputs = 0

    def add(self, sequence: int, tokens: Sequence[int], position: int, *, outputs: int) -> list[int]:
        """Add the tokens of one sequence from `position` on; the last `outputs` get logits. Gives their rows."""
        start, stop = len(self), len(self) + len(tokens)
        if not tokens or stop > self.capacity:
            raise EngineError(f"{len(tokens)} tokens do not fit a batch of {self.capacity} that holds {start}.")
        if not 0 <= outputs <= len(tokens):
            raise EngineError(f"{outputs} outputs were asked for of {len(tokens)} tokens.")
        if min(tokens) < 0 or max(tokens) >= self._n_vocab:
            raise EngineError(f"A token id lies outside of the vocabulary of {self._n_vocab}.")
        if not 0 <= sequence < self._n_seq_max:
            raise EngineError(f"Sequence {sequence} is not one of the {self._n_seq_max} of this context.")
        if not 0 <= position <= self._n_ctx - len(tokens):  # llama.cpp takes any, and answers wrongly
            raise EngineError(f"{len(tokens)} tokens from position {position} on leave the context of {self._n_ctx}.")
        self.tokens[start:stop] = tokens
        self.positions[start:stop] = np.arange(position, position + len(tokens))
        self.sequences[start:stop] = sequence
        self.outputs[start:stop] = 0
        self.outputs[stop - outputs : stop] = 1
        self.n_outputs += outputs
        self.struct.n_tokens = stop
        return list(range(stop - outputs, stop))


class Context:
    """A KV cache of `n_ctx` cells shared by `n_seq_max` sequences, and the buffers to decode with it."""

    def __init__(
        self,
        model: Model,
        *,
        n_ctx: int,
        n_batch: int,
        n_seq_max: int,
        threads: int,
        prompt_threads: int = 0,
        kv_type: str = "f16",
        pulse: Pulse | None = None,
    ) -> None:
        """prompt_threads: for batches of several tokens; 0 is as many as `threads`. kv_type: "f16" or "q8_0". pulse:
        where work is counted, and by which batches are aborted."""
        _check_sizes(n_ctx, n_batch, n_seq_max, kv_type)
        params = c.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = n_ctx, n_batch, n_batch, n_seq_max
        params.n_threads = max(1, min(threads, MAX_THREADS))
        params.n_threads_batch = max(1, min(prompt_threads or threads, MAX_THREADS))
        # The default splits the cells by sequence, and a partial llama_memory_seq_cp across the parts aborts.
        params.kv_unified = True
        # Two rows of logits a sequence: some 70 MiB of compute buffer instead of 258 for a vocabulary of 128,256.
        params.n_outputs_max = self._n_outputs_max = min(n_seq_max * (1 + GUESSES), n_batch)
        # On CPUs flash attention sums in float16: on a random float32 model, logits of a batch and of one token at a
        # time then differ by 1.9e-2, without it by 1.1e-3; the speed was the same within noise (docs/measurements.md).
        params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        if kv_type == "q8_0":
            params.type_k = params.type_v = c.GGML_TYPE_Q8_0
            # llama.cpp refuses values in anything but a float without it.
            params.flash_attn_type = c.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.no_perf = True
        self.pulse = pulse or Pulse()
        params.abort_callback, params.abort_callback_data = self.pulse.callback, self.pulse.argument
        forget_error()
        with model.in_use():
            self._context = c.llama_init_from_model(model._model, params)
        if not self._context:
            raise EngineError(
                f"llama.cpp cannot make a context of {n_ctx} tokens: {last_error()}.",
                "Most often memory is short: try a smaller context.",
            )
        self._model = model
        model.n_contexts += 1
        self._memory = c.llama_get_memory(self._context)
        self.n_ctx: int = c.llama_n_ctx(self._context)
        self.n_seq_max = n_seq_max
        self._n_vocab = model.n_vocab
        # llama.cpp clips n_batch to n_ctx silently.
        self.batch = Batch(model, c.llama_n_batch(self._context), n_seq_max, self.n_ctx)
        self._owner: int | None = None

    def decode(self) -> bool:
        """Decode the batch. True when done; False when `abort` ended it, after which `length` tells what stands."""
        self._owner = self._owner or threading.get_ident()
        self._check_use()
        if not len(self.batch) or self.batch.n_outputs > self._n_outputs_max:
            raise EngineError(f"A batch of {len(self.batch)} tokens, {self.batch.n_outputs} outputs cannot be decoded.")
        self.pulse.settle()
        code: int = c.llama_decode(self._context, self.batch.struct)
        if code not in (0, ABORTED):
            reason = "no free KV cells" if code == 1 else "invalid batch" if code == -1 else "compute failed"
            raise EngineError(f"llama_decode returned {code} ({reason}) for {len(self.batch)} tokens.")
        return code == 0

    def logits(self, row: int) -> NDArray[np.float32]:
        """The logits (n_vocab,) after the token of that row. A view: it is overwritten by the next decode."""
        self._check_open()
        if not 0 <= row < len(self.batch) or not self.batch.outputs[row]:
            raise EngineError(f"Row {row} of the batch asked for no logits.")
        pointer = c.llama_get_logits_ith(self._context, row)
        if not pointer:
            raise EngineError(f"Row {row} of the batch has no logits.")
        address = ctypes.addressof(pointer.contents)
        return np.ctypeslib.as_array((ctypes.c_float * self._n_vocab).from_address(address))

    def length(self, sequence: int) -> int:
        """How many tokens of the sequence are in the KV cache."""
        self._check_sequence(sequence)
        return int(c.llama_memory_seq_pos_max(self._memory, sequence)) + 1

    def forget(self, sequence: int, start: int = 0) -> None:
        """Free the cells of a sequence, from position `start` on."""
        self._check_use()
        self._check_sequence(sequence)
        if start < 0:  # for llama.cpp a negative one is the first, as a negative sequence means all
            raise EngineError(f"Sequence {sequence} cannot be forgotten from position {start} on.")
        c.llama_memory_seq_rm(self._memory, sequence, start, -1)

    def set_adapter(self, adapter: Any | None, scale: float = 1.0) -> None:
        """Use this LoRA adapter of the model's, or none, from the next decode on."""
        self._check_use()
        if adapter is not None and not any(adapter is one for one in self._model.adapters):
            raise EngineError("A LoRA adapter was loaded for another model.")
        if not math.isfinite(scale):  # every logit would be NaN
            raise EngineError(f"The strength of a LoRA adapter is {scale}; it must be a finite number.")
        count = 0 if adapter is None else 1
        adapters = (c.llama_adapter_lora_p_ctypes * 1)(adapter)
        if c.llama_set_adapters_lora(self._context, adapters, count, (ctypes.c_float * 1)(scale)) != 0:
            raise EngineError("llama.cpp refused the LoRA adapter.")

    def abort(self, on: bool) -> None:
        """From any thread: end the decode that runs now, and each one until this is called with False."""
        self.pulse.abort(on)

    def free(self) -> None:
        if self._context:
            self._check_use()
            c.llama_free(self._context)
            self._context = None
            self._model.n_contexts -= 1

    def _check_open(self) -> None:
        if not self._context:
            raise EngineError("A context was used that has been freed.")

    def _check_use(self) -> None:
        """Two threads in one context end the process within a second."""
        self._check_open()
        if self._owner not in (None, threading.get_ident()):
            raise EngineError("A context was used from two threads.")

    def _check_sequence(self, sequence: int) -> None:
        self._check_open()
        if not 0 <= sequence < self.n_seq_max:
            raise EngineError(f"Sequence {sequence} is not one of the {self.n_seq_max} of this context.")


def _check_sizes(n_ctx: int, n_batch: int, n_seq_max: int, kv_type: str) -> None:
    """What llama.cpp gets as unsigned numbers, and would read otherwise."""
    if not 1 <= n_seq_max <= MAX_SEQUENCES:
        raise EngineError(f"{n_seq_max} sequences at once is outside of 1 to {MAX_SEQUENCES}.")
    if not 1 <= n_ctx <= MAX_CELLS or not 1 <= n_batch <= MAX_CELLS:
        raise EngineError(f"A context of {n_ctx} tokens, {n_batch} a batch, is outside of 1 to {MAX_CELLS}.")
    if kv_type not in KV_TYPES:
        raise EngineError(f"The KV cache holds no {kv_type!r}; it holds {' or '.join(KV_TYPES)}.")
