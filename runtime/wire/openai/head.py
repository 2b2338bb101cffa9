"""What every object of OpenAI's begins with, and the count of tokens it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FINGERPRINT = f"llamalet-{__version__}"  # another version may answer otherwise to the same seed


@dataclass(frozen=True, slots=True)
class Head:
    """id: of the request; created: seconds since 1970; model: as the catalogue has it."""

    id: str
    created: int
    model: str

    def of(self, kind: str) -> dict[str, Any]:
        """For an object of this kind: a `chat.completion`, a `text_completion` or a chunk of either."""
        prefix = "chatcmpl" if kind.startswith("chat.") else "cmpl"
        named = {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}
        return {**named, "system_fingerprint": FINGERPRINT}


def usage(results: Sequence[Mapping[str, Any]], choices: int) -> dict[str, Any]:
    """The tokens of all runs. A prompt counts once, of which there were so many choices."""
    counts = [result["usage"] for result in results]
    prompts = counts[::choices]
    read, written = sum(one["prompt_tokens"] for one in prompts), sum(one["completion_tokens"] for one in counts)
    cached = sum(one["prompt_tokens_details"]["cached_tokens"] for one in prompts)
    forced = sum(one.get("completion_tokens_details", {}).get("forced_tokens", 0) for one in counts)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        **({"completion_tokens_details": {"forced_tokens": forced}} if forced else {}),
    }
