"""The plain values that travel between the modules.

All are frozen, compare by content and survive a pipe (pickle), since the engine may live in another process. What is
not here: JSON shapes (`runtime.wire`) and anything that holds state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
ToolChoice = Literal["auto", "required"]  # to call or not is the model's to say, or not

FAMILIES = ("llama3.1", "llama3.2")  # the chat formats: `runtime.prompt` writes them, a model in the catalogue has one


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a model, as in a Llama's config: rows are `width` wide, each head `head_width`. `tied`: the
    embedding is the output matrix too."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    feed_forward: int
    vocabulary: int
    tied: bool

    @property
    def parameters(self) -> int:
        """Numbers in the matrices."""
        attention = 2 * self.width * (self.heads + self.kv_heads) * self.head_width
        layer = attention + 3 * self.width * self.feed_forward
        return self.layers * layer + (1 if self.tied else 2) * self.vocabulary * self.width


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model asked for. `arguments` is the decoded JSON object; `id` ties a tool's result to it."""

    name: str
    arguments: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """Some more of the tool call `index`: the first has its name, and the texts of all make up its JSON object.

    `id` is the call's, in its first delta, once it is part of an answer.
    """

    index: int
    name: str | None
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, already normalised: `content` is text and never None.

    `is_json`: a tool's result that came as a JSON object or array; `content` is its JSON text. The prompt shows that as
    it is, and quotes a result that came as text.
    """

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None
    tool_call_id: str | None = None
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of prompt. Only where `special` is true may its text become control tokens."""

    text: str
    special: bool = False


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen from the logits.

    temperature: 0 to 5; 0 takes the likeliest token. Default 0.6 (Workers AI's, and generation_config.json of Llama 3).
    top_k: 1 to 50 likeliest tokens; None is off.
    top_p: 0 to 2, the smallest set of tokens with that much probability; 1 and more is off. Default 0.9
        (generation_config.json of Llama 3.1 and 3.2; Workers AI states none).
    min_p: 0 to 1, drops tokens less likely than this share of the likeliest; 0 is off.
    seed: 1 to 9999999999; None draws one.
    repetition_penalty: 0 to 2, divides the logits of tokens in prompt or output; 1 is none, and so is 0, which the
        published schema allows.
    frequency_penalty, presence_penalty: 0 to 2, taken off the logits of tokens in the output, by count or at once.
    logit_bias: (token id, bias to add) pairs.
    logprobs: give each token's log probability and those of so many likeliest; None gives none.
    """

    temperature: float = 0.6
    top_k: int | None = None
    top_p: float = 0.9
    min_p: float = 0.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The answer shall be JSON, and valid under `schema`.

    approximate: what no grammar enforces is checked afterwards, and tried again; else it is refused.
    """

    schema: Any
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a caller of `run` asks for: `messages`, or a `prompt` without a conversation.

    raw: give the text to the model as it is, without the chat format. date: what the prompt calls today; None leaves
    it to the settings. timeout: seconds; None leaves it to the settings. keep_alive: seconds that the model stays while
    idle from now on, negative for ever; None leaves that as it is. reject_if_busy: rather be refused than wait.
    document: the answer shall be one. grammar: GBNF that the answer is held to.
    ignored: the names of options that were given and that nobody knows. deprecated: of those that better ones replace.

    tools: definitions as they were given, since the prompt shows them so; where (`tools_in`) and how (`tool_style`) is
    in `runtime.prompt`. tool_choice: whether one must be called; tool_name: which, if only one will do.
    parallel_tool_calls: whether several may be called in one answer. constrain_tools: whether arguments are held to
    their schemas while they are written.
    """

    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    raw: bool = False
    stream: bool = False
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    lora: str | None = None
    date: str | None = None
    timeout: float | None = None
    keep_alive: float | None = None
    reject_if_busy: bool = False
    document: Document | None = None
    grammar: str | None = None
    ignored: tuple[str, ...] = ()
    deprecated: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any] | Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    tool_name: str | None = None
    parallel_tool_calls: bool = True
    constrain_tools: bool = True
    tools_in: str = "user"
    tool_style: str = "json"


@dataclass(frozen=True, slots=True)
class Request:
    """What an engine is asked to do: go on after `prompt` for at most `max_tokens` tokens.

    `id` is the caller's, and unique among the requests of one engine; `timeout` is in seconds, of which `waited`
    are gone when it is submitted. `max_wait`: seconds that it may wait for a place from then on.
    `reject_if_busy`: rather be refused than wait for a place.
    `grammar`: GBNF with the root rule `root`, to which the answer is held.
    `tools`: those that the answer may call; only one, where no other will do. `tool_choice`: whether it must call one.
    `constrain_tools`: calls are held to the tools' schemas, from where their arguments begin.
    """

    id: str
    prompt: tuple[Segment, ...]
    max_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    lora: str | None = None
    timeout: float | None = None
    waited: float = 0.0
    max_wait: float | None = None
    reject_if_busy: bool = False
    grammar: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    constrain_tools: bool = True


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of its probability, before any penalty or filter."""

    token: int
    text: bytes
    logprob: float
    top: tuple[tuple[int, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written. `cached_tokens` of the prompt were in the KV cache already; `forced_tokens` of the
    answer were not sampled, since its grammar left no choice."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    forced_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds spent waiting for a place, reading the prompt, and writing the answer."""

    queue: float
    prompt: float
    decode: float


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the answer, in whole characters. `logprobs` has the tokens sampled since the last."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """Of `total` prompt tokens, `done` have been read."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer. `tool_calls` are the calls in it, each with an id."""

    finish_reason: FinishReason
    usage: Usage
    timings: Timings
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a request that is not answered; nothing follows it. `error` is raised in the caller."""

    error: Exception


Event = Text | ToolCallDelta | Progress | Done | Failed
