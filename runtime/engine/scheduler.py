"""Which tokens go into the next batch.

It knows sequences, slots and KV cells, and nothing of llama.cpp. A sequence is admitted only when the cells for its
whole prompt and answer can be reserved, in the order of arrival, so a batch always finds its cells. Prompts are read
in chunks beside the running answers, sized by measured time. A batch holds one LoRA adapter.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from runtime.engine.sequence import Sequence

# What a step shall take. Beside running answers it may take 0.2 s, a pause that a reader hardly notices; it aims lower,
# since steps of one size were seen to differ by half. Alone, it is how often progress is told.
BESIDE_SECONDS, ALONE_SECONDS = 0.13, 1.0
FIRST_CHUNK = {True: 8, False: 32}  # tokens, before anything was measured beside answers, or alone
LEAST_CHUNK = 4  # tokens, however slow the machine
TICK = 1e-6  # seconds: a clock may have seen less of a batch than there was, and no rate is divided by nothing
ADAPTER_STEPS = 32  # a switch reserves the graph again, so switch in runs; others wait that many steps at most


class Work(NamedTuple):
    """The next `n_tokens` tokens of a sequence."""

    sequence: Sequence
    n_tokens: int


class Scheduler:
    """Plans batches of at most `batch` tokens for at most `slots` sequences on `cells` KV cells."""

    def __init__(self, *, slots: int, cells: int, batch: int) -> None:
        self.cells = cells
        self._batch = batch
        self._free_slots = list(range(slots))
        self._free_cells = cells
        self.waiting: deque[Sequence] = deque()
        self.live: list[Sequence] = []
        self.adapter: str | None = None
        self._run = 0  # steps with this adapter while others waited
        self._step = 0
        self._last_used: dict[str | None, int] = {}  # the step, by adapter
        self._beside = False  # whether the last plan had answers in it
        self._token_seconds: float | None = None  # of one more token in a batch
        # What a batch beside answers takes over that: small batches cost more a token.
        self._extra_seconds: float | None = None

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence. It must fit the cells when it is alone."""
        self.waiting.append(sequence)

    def admit(self) -> list[Sequence]:
        """Give slots and cells to those at the head of the queue for which there are enough."""
        admitted = []
        while self.waiting and self._free_slots and self.waiting[0].cells <= self._free_cells:
            sequence = self.waiting.popleft()
            sequence.slot = self._free_slots.pop()
            self._free_cells -= sequence.cells
            self.live.append(sequence)
            admitted.append(sequence)
        return admitted

    def remove(self, sequence: Sequence) -> None:
        """Take a sequence out, wherever it is; its slot and cells are free again."""
        if sequence.slot < 0:
            self.waiting.remove(sequence)
            return
        self.live.remove(sequence)
        self._free_slots.append(sequence.slot)
        self._free_cells += sequence.cells
        sequence.slot = -1

    def plan(self) -> list[Work]:
        """The work of the next step, all of it with `self.adapter`."""
        self._choose_adapter()
        mine = [sequence for sequence in self.live if sequence.request.lora == self.adapter]
        answering = [sequence for sequence in mine if not sequence.is_reading]
        self._beside = bool(answering) and len(mine) > 1
        # One token of each answer goes into every batch; what is forced behind it shares the room left with prompts.
        shares = self._shares(mine, self._room(len(answering)))
        return [Work(one, _whole(one, shares[one.slot])) for one in (*answering, *_others(mine)) if shares[one.slot]]

    def measured(self, n_tokens: int, seconds: float) -> None:
        """Tell what the batch of the last plan took, so that the next chunks are sized by it."""
        if n_tokens < LEAST_CHUNK:
            return
        seconds = max(seconds, TICK)
        if self._token_seconds is None or not self._beside:
            self._token_seconds = _learned(self._token_seconds, seconds / n_tokens)
        if self._beside:
            extra = max(0.0, seconds - n_tokens * self._token_seconds)
            self._extra_seconds = _learned(self._extra_seconds, extra)

    def _room(self, used: int) -> int:
        """Tokens that may go into the batch beside those `used`."""
        extra = self._extra_seconds if self._beside else 0.0
        if self._token_seconds is None or extra is None:
            chunk = FIRST_CHUNK[self._beside]
        else:
            seconds = (BESIDE_SECONDS if self._beside else ALONE_SECONDS) - extra
            chunk = max(LEAST_CHUNK, int(seconds / self._token_seconds) - used)
        return min(chunk, self._batch - used)

    @staticmethod
    def _shares(sequences: list[Sequence], room: int) -> dict[int, int]:
        """Tokens of each, by slot: one of every answer, and even shares of the room, shortest first, so that a short
        prompt is not held up by a long one."""
        shares = {sequence.slot: 0 if sequence.is_reading else 1 for sequence in sequences}
        waiting = {s.slot: s.n_pending - shares[s.slot] for s in sequences if s.n_pending > shares[s.slot]}
        for position, slot in enumerate(sorted(waiting, key=waiting.__getitem__)):
            share = min(waiting[slot], room // (len(waiting) - position))
            shares[slot] += share
            room -= share
        return shares

    def _choose_adapter(self) -> None:
        """Stay with the adapter, unless nobody needs it or others have waited long enough: then the one not used for
        longest, so each gets its run in turn."""
        self._step += 1
        others = [sequence.request.lora for sequence in self.live if sequence.request.lora != self.adapter]
        is_needed = len(others) < len(self.live)
        if others and not (is_needed and self._run < ADAPTER_STEPS):
            self.adapter, self._run = min(others, key=lambda name: self._last_used.get(name, 0)), 0
        self._run = self._run + 1 if others else 0
        self._last_used[self.adapter] = self._step


def _others(sequences: list[Sequence]) -> list[Sequence]:
    """Those that read their prompts, shortest first."""
    return sorted((s for s in sequences if s.is_reading), key=lambda s: s.n_pending)


def _whole(sequence: Sequence, n_tokens: int) -> int:
    """`n_tokens`, where a guess is not parted from the token whose logits judge it: rather go on without."""
    if 0 < sequence.n_pending - n_tokens <= sequence.n_guessed:
        sequence.drop_guesses()
    return min(n_tokens, sequence.n_pending)


def _learned(known: float | None, seen: float) -> float:
    """Slower counts at once, since the next step must keep its time; so does much faster, since a batch that waited for
    the disk must not make many small ones; else the two are averaged."""
    if known is None or not known / 2 <= seen <= known:
        return seen
    return (known + seen) / 2
