"""What `scripts/quickstart` shows: an answer, a JSON document and a tool call, by a model built on the spot."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from runtime import Runtime
from tests.models import random_model

PROMPT = "Tell me about llamas."
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "born": {"type": "string", "format": "date"},
        "coat": {"enum": ["white", "brown", "black"]},
        "is_friendly": {"type": "boolean"},
    },
    "required": ["name", "born", "coat", "is_friendly"],
}
FEED = {
    "type": "object",
    "properties": {
        "animal": {"enum": ["llama", "alpaca"]},
        "kilograms": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["animal", "kilograms"],
}


def main() -> None:
    """Build a tiny random model, answer with it, and say how to go on with a real one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.gguf"
        random_model(path)
        print("No weights are needed for this: a tiny model with RANDOM weights was made on the spot,")
        print("so what it writes is noise. What you see is the whole way of a request.\n")
        print(f"> {PROMPT}")
        with Runtime(files=[path]) as ai:
            last = _show(ai, str(path))
            document, call = _document(ai, str(path)), _call(ai, str(path))
    timings, usage = last["timings"], last["usage"]
    print(
        f"\n\n{usage['prompt_tokens']} prompt tokens at {timings['prompt_tokens_per_second']:,.0f} a second, "
        f"{usage['completion_tokens']} answer tokens at {timings['decode_tokens_per_second']:,.0f} a second."
    )
    print("\nNoise too can be held to a JSON Schema, which says what stands where:\n")
    print(json.dumps(document, indent=2))
    print(f"\nAnd a call is always one of a tool that there is:\n\n{call['name']}({json.dumps(call['arguments'])})")
    print("\nLlama 3.2 1B takes 0.8 GB of disk and about 1.5 GB of memory. Fetch it once, then run it:\n")
    print("  .venv/bin/llamalet pull 1b")
    print('  .venv/bin/llamalet run 1b "Tell me about llamas."')


def _show(ai: Runtime, model: str) -> dict[str, dict[str, float]]:
    last: dict[str, dict[str, float]] = {}
    for last in ai.run(model, prompt=PROMPT, max_tokens=64, seed=1, stream=True):
        # Random bytes may be ones that a terminal obeys.
        print("".join(c if c.isprintable() or c == "\n" else "." for c in last["response"]), end="", flush=True)
    return last


def _document(ai: Runtime, model: str) -> Any:
    asked = {"type": "json_schema", "json_schema": SCHEMA}
    return ai.run(model, prompt="Describe a llama.", response_format=asked, seed=1)["response"]


def _call(ai: Runtime, model: str) -> Any:
    feed = {"name": "feed", "description": "Feed an animal.", "parameters": FEED}
    answer = ai.run(model, prompt="Feed the llama.", tools=[feed], tool_choice="required", parallel_tool_calls=False)
    return answer["tool_calls"][0]


if __name__ == "__main__":
    main()
