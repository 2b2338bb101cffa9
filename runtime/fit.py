"""Will it fit? What memory a model takes, as a sum of its causes, and the nearest that fits where it does not.

Nothing here asks the machine or reads a file. The formulas give llama.cpp's own sizes on a CPU, as `docs/fit.md`
has them measured; all sizes are bytes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runtime.errors import DoesNotFit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runtime.catalog import ModelSpec, Quant
    from runtime.gguf import Header
    from runtime.values import Shape

MIB, GIB = 1 << 20, 1 << 30
BATCH = 256  # tokens; 128 and 512 read prompts as fast (docs/measurements.md), and the buffers grow with it
CONTEXT = 8192  # tokens, the most by default
MARGIN = 128 * MIB  # for llama.cpp's library and numpy, 40 MiB, and for what other programs ask for in the meantime
_CONTEXTS = (131072, 65536, 32768, 16384, 8192, 4096, 2048, 1024)  # those that are proposed
_TOKEN = 540  # of a vocabulary in memory with its merges: 66 MiB for Llama 3's 128,256
_Q8_0, _Q6_K = (34, 32), (210, 256)  # bytes and weights of a block


@dataclass(frozen=True, slots=True)
class Model:
    """What counts of a model: the bytes of its weights, its shape, and the tokens of prompt and answer at most.

    The name is one by which the user can ask for it. extra: bytes of its LoRA adapters.
    """

    name: str
    quant: str
    weights: int
    shape: Shape
    window: int
    extra: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """What a model may take. `copies_output`: this CPU's llama.cpp keeps a second, rearranged copy of an embedding
    that serves as output matrix too (ARM with dot products; on x86 no type that embeddings have is rearranged)."""

    available: int
    copies_output: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """Memory by its causes, all of it resident once the context has been full."""

    weights: int
    vocabulary: int
    kv: int
    compute: int
    work: int

    @property
    def total(self) -> int:
        return self.weights + self.vocabulary + self.kv + self.compute + self.work

    @property
    def at_once(self) -> int:
        """What of it is resident as soon as the model is loaded."""
        return self.weights + self.vocabulary + self.kv


@dataclass(frozen=True, slots=True)
class Plan:
    """A model that fits, and how: `context` tokens in a cache of `kv_type`, for all `slots` together."""

    model: Model
    context: int
    slots: int
    kv_type: str
    need: Need

    def __str__(self) -> str:
        cache = "" if self.kv_type == "f16" else f" and a {self.kv_type} cache"
        return f"{self.model.name}:{self.model.quant} with {self.context} tokens{cache}"


def of_quant(spec: ModelSpec, quant: Quant) -> Model | None:
    """A model of the catalogue that need not be on this machine; None where the catalogue lacks its size or shape."""
    if quant.size is None or spec.shape is None:
        return None
    return Model(_name(spec), quant.name, quant.size, spec.shape, spec.context_window or CONTEXT)


def of_file(spec: ModelSpec, quant: str, header: Header, shape: Shape, *, extra: int = 0) -> Model:
    """A model whose file is there."""
    trained = header.metadata["llama.context_length"]
    window = min(spec.context_window or trained, trained)
    return Model(_name(spec), quant, sum(tensor.size for tensor in header.tensors), shape, window, extra)


def candidates(spec: ModelSpec) -> list[Model]:
    """The quants to try, best first, before a file is there: the default, then those under it from the largest down.
    Those over it answer a little better, and slower by their size: they are taken where they are asked for."""
    return [model for quant in _preferred(spec) if (model := of_quant(spec, quant))]


def need(model: Model, context: int, *, slots: int, kv_type: str = "f16", copies_output: bool = False) -> Need:
    """The memory for a model with a cache of `context` tokens, which `slots` requests share."""
    shape = model.shape
    copied = _embedding(model) if copies_output and shape.tied else 0
    cells = -(-context // 256) * 256  # llama.cpp rounds up
    return Need(
        weights=model.weights + copied + model.extra,
        vocabulary=_TOKEN * shape.vocabulary,
        kv=cells * kv_bytes(shape, kv_type),
        compute=_compute(shape, cells, kv_type) + 4 * shape.vocabulary * slots,  # a row of logits each
        # Without flash attention the scores are turned into float16, in a buffer of their own, to be multiplied.
        work=2 * BATCH * shape.heads * cells if kv_type == "f16" else 0,
    )


def kv_bytes(shape: Shape, kv_type: str) -> int:
    """Of one token: keys and values of each layer, two bytes a number, or 34 for 32 of them."""
    numbers = 2 * shape.layers * shape.kv_heads * shape.head_width
    return numbers * _Q8_0[0] // _Q8_0[1] if kv_type == "q8_0" else 2 * numbers


def plan(
    model: Model,
    room: Room,
    *,
    slots: int,
    context: int | None = None,
    kv_type: str = "f16",
    others: Iterable[Model] = (),
) -> Plan:
    """How the model is loaded. `context` None takes min(window, 8192) tokens, or half and half again (never under 2048
    for that) where the whole would take more than half of what is available.

    Raises `DoesNotFit` with the numbers and the nearest that fits: a smaller context, a q8_0 cache, or the first of
    `others`.
    """
    wanted = list(_by_default(model)) if context is None else [context]
    plans = [_plan(model, one, slots, kv_type, room) for one in wanted]
    fitting = [one for one in plans if _fits(one, room)]
    # Under 2048 tokens, which is little to talk in, only where nothing else fits.
    usable = [one for one in fitting if one.context >= min(2048, wanted[0])] or fitting[:1]
    modest = (one for one in usable if one.need.total <= room.available // 2)
    found = next(modest, usable[-1] if usable else None)
    if found is None:
        raise _refusal(plans[0] if context else plans[-1], room, others)
    return found


def choose(
    models: Iterable[Model],
    room: Room,
    *,
    slots: int,
    context: int | None = None,
    kv_type: str = "f16",
    others: Iterable[Model] = (),
) -> Plan:
    """The plan of the first of the models that fits. Raises `DoesNotFit` for the first where none does."""
    first, *rest = models
    for model in (first, *rest):
        with contextlib.suppress(DoesNotFit):
            return plan(model, room, slots=slots, context=context, kv_type=kv_type)
    return plan(first, room, slots=slots, context=context, kv_type=kv_type, others=others)


def smaller(catalog: Iterable[ModelSpec], model: Model) -> Iterator[Model]:
    """What could stand in for a model: its own smaller quants, then smaller models, each from the largest down."""
    rest: list[Model] = []
    for spec in catalog:
        if _name(spec) == model.name:
            own = [one for quant in spec.quants if (one := of_quant(spec, quant))]
            yield from sorted((one for one in own if one.weights < model.weights), key=lambda one: -one.weights)
        else:
            rest += [one for one in candidates(spec) if one.weights < model.weights]
    yield from sorted(rest, key=lambda one: -one.shape.parameters)


def shown(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def _name(spec: ModelSpec) -> str:
    return spec.aliases[0] if spec.aliases else spec.id


def _preferred(spec: ModelSpec) -> list[Quant]:
    """The default quant, then those under it from the largest down."""
    default = spec.quant(spec.default_quant)
    below = [one for one in spec.quants if one.size and default.size and one.size < default.size]
    return [default, *sorted(below, key=lambda one: -(one.size or 0))]


def _by_default(model: Model) -> Iterator[int]:
    most = min(model.window, CONTEXT)
    yield from dict.fromkeys([most, *(one for one in _CONTEXTS if one < most)])


def _embedding(model: Model) -> int:
    """The embedding's bytes: Q8_0 in a Q8_0 file, Q6_K in all others (llama-quant.cpp, for tied embeddings)."""
    size, weights = _Q8_0 if model.quant == "Q8_0" else _Q6_K
    return model.shape.vocabulary * model.shape.width * size // weights


def _compute(shape: Shape, cells: int, kv_type: str) -> int:
    """llama.cpp's compute buffer for a batch, as it plans it: the largest of what is alive at once.

    While it attends: five rows as wide as the model, keys and values, and a score and a mask for each cell and head. In
    the feed-forward part: three rows of its width. Flash attention, which a q8_0 cache needs, has no scores.
    """
    feed_forward = 4 * (3 * shape.feed_forward + 5 * shape.width)
    if kv_type == "q8_0":
        return BATCH * (feed_forward + 2 * cells)
    attention = 4 * (5 * shape.width + 2 * shape.kv_heads * shape.head_width + cells * (shape.heads + 1))
    return BATCH * max(feed_forward, attention)


def _plan(model: Model, context: int, slots: int, kv_type: str, room: Room) -> Plan:
    size = need(model, context, slots=slots, kv_type=kv_type, copies_output=room.copies_output)
    return Plan(model, context, slots, kv_type, size)


def _fits(plan: Plan, room: Room) -> bool:
    return plan.need.total + MARGIN <= room.available


def _refusal(wanted: Plan, room: Room, others: Iterable[Model]) -> DoesNotFit:
    nearest = next((one for one in _nearby(wanted, room, others) if _fits(one, room)), None)
    return DoesNotFit(
        f"{wanted} needs {shown(wanted.need.total + MARGIN)}, {shown(room.available)} available.",
        f"Fits: {nearest}." if nearest else "Nothing smaller in the catalogue fits: free some memory.",
    )


def _nearby(wanted: Plan, room: Room, others: Iterable[Model]) -> Iterator[Plan]:
    """Other plans, the nearest first."""
    contexts = [one for one in _CONTEXTS if one < wanted.context]
    same = [replace(wanted, context=one) for one in contexts]
    small = [replace(wanted, context=one, kv_type="q8_0") for one in (wanted.context, *contexts)]
    for one in (*same, *small):
        yield _plan(one.model, one.context, one.slots, one.kv_type, room)
    for model in others:
        for context in [one for one in _CONTEXTS if one <= min(model.window, max(CONTEXT, wanted.context))]:
            yield _plan(model, context, wanted.slots, wanted.kv_type, room)
