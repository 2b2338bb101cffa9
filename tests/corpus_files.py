"""Model files, adapters and sizes that kill or mislead llama.cpp, as files that a program lets in."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any
from unittest import mock

import gguf
import numpy as np

from runtime import Runtime
from runtime.engine.llama import Context
from runtime.errors import ConfigError, EngineError, LlamaletError, ModelMissing, ModelUnavailable, ModelUnsupported
from tests import models, rawgguf
from tests.corpus import QUESTION, Case, World, canary_answers, raises
from tests.rawgguf import adapter_bytes, model_bytes
from tests.test_gguf_refusals import BROKEN, BROKEN_ADAPTERS, UNSUPPORTED, UNSUPPORTED_ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.vocabulary import Vocabulary

    Change = Callable[[bytearray, int], None]  # of a file's bytes, whose tensors begin there

# Those whose regular expressions run on the stack, or are quadratic, and others than Llama 3's.
PRE_TOKENIZERS = (
    *("deepseek-coder", "deepseek-llm", "falcon", "command-r", "gpt-2", "qwen2", "tekken", "gpt-4o", "deepseek-v3"),
    *("llama4", "viking", "poro-chat", "default"),
)
TEMPLATES = {
    "two loops of 99,999": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "ten billion letters": "{{ 'a' * 10**10 }}",
    "a macro without end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "an escape from the sandbox": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
}


def opened(path: Path, **options: Any) -> Runtime:
    return Runtime(files=[path], **{"threads": 1, "context": 2048, **options})


def asked(path: Path, **options: Any) -> Any:
    with opened(path, **options) as ai:
        return ai.run(path, QUESTION)


def refused(content: bytes, error: type[Exception] = ModelUnavailable) -> Case:
    return raises(error, lambda world: asked(world.written(content)))


def changed(world: World, change: Change) -> Path:
    """The canary's file with something else in it."""
    content = bytearray(world.file("canary").read_bytes())
    path = world.file("canary")
    change(content, gguf.GGUFReader(path).tensors[0].data_offset)
    return world.written(bytes(content))


def zeroed(content: bytearray, data: int) -> None:
    content[data:] = bytes(len(content) - data)


def random(content: bytearray, data: int) -> None:
    content[data:] = np.random.default_rng(1).bytes(len(content) - data)


def not_numbers(content: bytearray, data: int) -> None:
    content[data:] = np.full((len(content) - data) // 4, np.nan, np.float32).tobytes()


def zeros_are_run(world: World) -> None:
    """Nothing in the file says that it is wrong; a hash would. Here it only has to end."""
    path = world.written(b"")
    models.random_model(path, layers=1)
    content = bytearray(path.read_bytes())
    zeroed(content, gguf.GGUFReader(path).tensors[0].data_offset)
    path.write_bytes(content)
    assert asked(path)["usage"]["completion_tokens"] > 0


def cut_while_in_use(world: World) -> None:
    """The weights were read, not mapped: what becomes of the file no longer matters."""
    path = world.written(world.file("canary").read_bytes())
    with opened(path) as ai:
        ai.load(path)
        os.truncate(path, 1000)
        assert canary_answers(ai.run(path, QUESTION))
        path.write_bytes(b"something else")
        assert canary_answers(ai.run(path, QUESTION))


def removed_while_in_use(world: World) -> None:
    path = world.written(world.file("canary").read_bytes())
    with opened(path) as ai:
        ai.load(path)
        path.unlink()
        assert canary_answers(ai.run(path, QUESTION))


def never_run(template: str) -> Case:
    """The template in a file is not looked at: prompts are ours."""

    def with_template(writer: gguf.GGUFWriter, vocab: Vocabulary) -> None:
        plain(writer, vocab)
        writer.add_chat_template(template)

    def case(world: World) -> None:
        path = world.written(b"")
        with mock.patch.object(models, "add_vocabulary", with_template):
            models.canary_model(path)
        assert canary_answers(asked(path))

    plain = models.add_vocabulary
    return case


def told_to_stop(world: World) -> None:
    def enough(done: float) -> None:
        raise KeyError("enough")

    with Runtime(files=[world.file("canary")], on_load=enough, threads=1, context=2048) as ai:
        ai.run(world.file("canary"), QUESTION)


# -- adapters --------------------------------------------------------------------------------------------------------


def with_adapter(world: World, content: bytes, scale: str = "1") -> Runtime:
    path = world.written(content)
    catalogue = world.folder / "case.toml"
    catalogue.write_text(
        f'[[model]]\nid = "canary"\npath = "canary.gguf"\n'
        f'[[adapter]]\nname = "case"\npath = "{path.name}"\nscale = {scale}\n'
    )
    return Runtime(models=catalogue, threads=1, context=2048)


def adapter_refused(content: Callable[[World], bytes], scale: str = "1") -> Case:
    """Who asks for it is refused; who does not is answered, before and after."""

    def case(world: World) -> None:
        with with_adapter(world, content(world), scale) as ai:
            assert canary_answers(ai.run("canary", QUESTION))
            raises(LlamaletError, lambda world: ai.run("canary", QUESTION, lora="case"))(world)
            assert canary_answers(ai.run("canary", QUESTION))

    return case


def _given(content: bytes, world: World) -> bytes:
    return content


def adapter(values: float = 1.0, *, width: int = 64, rank: int = 4, name: str = "blk.0.attn_output.weight") -> bytes:
    """A file that is right in its form: of a matrix of the canary, with these values in it."""
    shapes = {"a": (width, rank), "b": (rank, 192)}
    size = 4 * width * rank
    tensors = ((f"{name}.lora_a", shapes["a"], 0, 0), (f"{name}.lora_b", shapes["b"], 0, size))
    whole = adapter_bytes(tensors=tensors, data=size + 4 * 192 * rank)
    data = size + 4 * 192 * rank
    return whole[:-data] + np.full(data // 4, values, np.float32).tobytes()


ADAPTERS: dict[str, Case] = {
    **{
        name: adapter_refused(functools.partial(_given, content))
        for name, (content, _) in {**BROKEN_ADAPTERS, **UNSUPPORTED_ADAPTERS}.items()
    },
    "empty": adapter_refused(lambda _: b""),
    "cut short": adapter_refused(lambda world: world.file("next").read_bytes()[:-100]),
    "the model itself": adapter_refused(lambda world: world.file("canary").read_bytes()),
    "of another model's width": adapter_refused(lambda _: adapter(width=32)),
    "of a tensor that the model lacks": adapter_refused(lambda _: adapter(name="blk.9.attn_output.weight")),
    "rank 0": adapter_refused(lambda _: adapter(rank=0)),
    "values that are no numbers": adapter_refused(lambda _: adapter(float("nan"))),
    "values without bound": adapter_refused(lambda _: adapter(float("inf"))),
    "values that overflow": adapter_refused(lambda _: adapter(1e25)),
    "scale 1e38": raises(ConfigError, lambda world: with_adapter(world, adapter(), "1e38")),
    "scale nan": raises(ConfigError, lambda world: with_adapter(world, adapter(), "nan")),
    "scale inf": raises(ConfigError, lambda world: with_adapter(world, adapter(), "inf")),
}

# -- sizes -----------------------------------------------------------------------------------------------------------


def sized(**sizes: Any) -> Callable[[World], object]:
    def call(world: World) -> object:
        options = {"n_ctx": 256, "n_batch": 64, "n_seq_max": 2, "threads": 1, **sizes}
        Context(world.model, **options).free()
        return options

    return call


def many_threads(world: World) -> None:
    """As many as the facade lets through."""
    made = Context(world.model, n_ctx=256, n_batch=64, n_seq_max=2, threads=10_000)
    made.free()


SIZES: dict[str, Case] = {
    "a context of 2^30 tokens": raises(EngineError, sized(n_ctx=2**30)),
    "a context of 2^31 tokens": raises(EngineError, sized(n_ctx=2**31)),
    "a negative context": raises(EngineError, sized(n_ctx=-5)),
    "a batch of 0 tokens": raises(EngineError, sized(n_batch=0)),
    "257 sequences": raises(EngineError, sized(n_seq_max=257)),
    "0 sequences": raises(EngineError, sized(n_seq_max=0)),
    "10,000 threads": many_threads,
    "from Python, a context of 2^30 tokens": raises(
        ConfigError, lambda world: asked(world.file("canary"), context=2**30)
    ),
    "from Python, 257 slots": raises(ConfigError, lambda world: Runtime(slots=257)),
    "from Python, 10,000 threads": raises(ConfigError, lambda world: Runtime(threads=10_000)),
}

CASES: dict[str, Case] = {
    **{f"file: {name}": refused(content) for name, (content, _) in {**BROKEN, **UNSUPPORTED}.items()},
    **{
        f"file: pre-tokenizer {name}": refused(
            model_bytes({"tokenizer.ggml.pre": (rawgguf.STRING, name)}), ModelUnsupported
        )
        for name in PRE_TOKENIZERS
    },
    "file: missing": raises(ModelMissing, lambda world: asked(world.folder / "none.gguf")),
    "file: a directory": raises(ModelUnavailable, lambda world: asked(world.folder)),
    "file: a tensor missing": refused(model_bytes()),
    "file: a tensor too many": refused(
        model_bytes(tensors=(*rawgguf.TENSORS, ("more.weight", (8,), 0, 160)), data=192)
    ),
    "file: no tensors": refused(model_bytes(tensors=(), data=0)),
    "file: cut in its weights": raises(
        ModelUnavailable, lambda world: asked(world.written(world.file("canary").read_bytes()[:-4096]))
    ),
    "file: weights of zero": zeros_are_run,
    "file: weights of zero that are divided by": raises(
        EngineError, lambda world: asked(changed(world, zeroed)), "not finite"
    ),
    "file: random weights": raises(EngineError, lambda world: asked(changed(world, random)), "not finite"),
    "file: weights that are no numbers": raises(
        EngineError, lambda world: asked(changed(world, not_numbers)), "not finite"
    ),
    "file: cut and written over while in use": cut_while_in_use,
    "file: removed while in use": removed_while_in_use,
    "file: a load that is told to stop": raises(KeyError, told_to_stop),
    **{f"file: a template with {name}": never_run(text) for name, text in TEMPLATES.items()},
    **{f"adapter: {name}": case for name, case in ADAPTERS.items()},
    **{f"size: {name}": case for name, case in SIZES.items()},
}
