"""The exam of the demo model (docs/demo-model.md): cases that its training has not seen, through `Runtime`, greedy.

    python -m scripts.examine_demo FILE [--wrong N]

FILE is the model's GGUF file. --wrong prints the first N failures of each kind.
"""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from runtime import Runtime
from scripts.demo import heldout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scripts.demo.heldout import Case

SEED, NO_TOOL_SEED = 1, 2
FIXED = {"temperature": 0, "date": "21 Nov 2026"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--wrong", type=int, default=0)
    parser.add_argument("--part", type=int, default=1, help="one case of so many only")
    chosen = parser.parse_args()
    with Runtime(files=[chosen.file], context=4096) as ai:
        exam = Exam(ai, chosen.file, chosen.wrong)
        tools = heldout.tools(SEED, 300)[:: chosen.part]
        exam.mark("tools, held to their schemas", tools, exam.calls)
        exam.mark("tools, free", tools, exam.calls_freely)
        exam.mark("no tool fits: no call", heldout.no_tool(NO_TOOL_SEED, 100)[:: chosen.part], exam.calls_nothing)
        exam.mark("the result is stated", tools, exam.states)
        documents = heldout.documents(SEED, 300)[:: chosen.part]
        exam.mark("documents, entirely right", documents, exam.documents)
        exam.mark("documents, valid", documents, exam.valid)
        exam.mark("chat", heldout.chats(SEED, 300)[:: chosen.part], exam.chats)


class Exam:
    """Asks the model. Each method says whether one case is right, and what was answered."""

    def __init__(self, ai: Runtime, model: str, wrong: int) -> None:
        self._ai, self._model, self._wrong = ai, model, wrong

    def mark(self, name: str, cases: Iterable[Case], passes: Callable[[Case], tuple[bool, Any]]) -> None:
        right = total = shown = 0
        for case in cases:
            passed, found = passes(case)
            right, total = right + passed, total + 1
            if not passed and shown < self._wrong:
                shown += 1
                asked = case.messages[-1]["content"]
                wanted = case.call or case.value or case.answer or case.stated or "no call"
                print(f"    {asked!r}\n      wanted {json.dumps(wanted)}\n      found  {json.dumps(found)}", flush=True)
        print(f"{name:32} {right:4} of {total}  {100 * right / total:5.1f} %", flush=True)

    def calls(self, case: Case) -> tuple[bool, Any]:
        found = self._ask(case.messages, tools=list(case.tools))["tool_calls"]
        return [_plain(call) for call in found] == [case.call], found

    def calls_freely(self, case: Case) -> tuple[bool, Any]:
        found = self._ask(case.messages, tools=list(case.tools), constrain_tools=False)["tool_calls"]
        return [_plain(call) for call in found] == [case.call], found

    def calls_nothing(self, case: Case) -> tuple[bool, Any]:
        found = self._ask(case.messages, tools=list(case.tools))
        return not found["tool_calls"], found["tool_calls"]

    def states(self, case: Case) -> tuple[bool, Any]:
        """In the turn after the call, whatever was called before."""
        assert case.call is not None
        assert case.result is not None
        called = {"role": "assistant", "content": "", "tool_calls": [case.call]}
        returned = {"role": "tool", "name": case.call["name"], "content": json.dumps(case.result)}
        said = self._ask([*case.messages, called, returned], tools=list(case.tools))["response"] or ""
        return _states(said, case.stated), said

    def documents(self, case: Case) -> tuple[bool, Any]:
        found = self._document(case)
        return found == case.value and list(found) == list(case.value), found  # type: ignore[call-overload]

    def valid(self, case: Case) -> tuple[bool, Any]:
        import jsonschema

        found = self._document(case)
        assert case.schema is not None
        return jsonschema.Draft202012Validator(case.schema).is_valid(found), found

    def chats(self, case: Case) -> tuple[bool, Any]:
        said = self._ask(case.messages)["response"]
        return said.strip() == case.answer if case.answer is not None else _states(said, case.stated), said

    def _document(self, case: Case) -> Any:
        asked = {"type": "json_schema", "json_schema": case.schema}
        return self._ask(case.messages, response_format=asked)["response"]

    def _ask(self, messages: Iterable[dict[str, Any]], **more: Any) -> Any:
        return self._ai.run(self._model, messages=list(messages), **FIXED, **more)


def _plain(call: Any) -> dict[str, Any]:
    return {"name": call["name"], "arguments": call["arguments"]}


def _states(said: str, stated: Iterable[str]) -> bool:
    """Each of them as a word of its own."""
    return all(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", said) for one in stated)


if __name__ == "__main__":
    main()
