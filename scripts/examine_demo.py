"""The exam of the demo model (docs/demo-model.md): cases that its training has not seen, through `Runtime`, greedy.

    python -m scripts.examine_demo FILE [--wrong N]

FILE is the model's GGUF file. --wrong prints the first N failures of each kind.
"""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema

from runtime import Runtime
from scripts.demo import heldout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scripts.demo.heldout import Case

    Judged = tuple[Case, bool, Any]

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
        exam.mark("tools, held to their schemas", map(exam.calls, tools))
        exam.mark("tools, free", (exam.calls(case, constrain_tools=False) for case in tools))
        exam.mark("no tool fits: no call", map(exam.calls_nothing, heldout.no_tool(NO_TOOL_SEED, 100)[:: chosen.part]))
        exam.mark("the result is stated", map(exam.states, tools))
        documents = [(case, exam.document(case)) for case in heldout.documents(SEED, 300)[:: chosen.part]]
        exam.mark("documents, entirely right", ((case, _is_right(case, found), found) for case, found in documents))
        exam.mark("documents, valid", ((case, _is_valid(case, found), found) for case, found in documents))
        exam.mark("chat", map(exam.chats, heldout.chats(SEED, 300)[:: chosen.part]))


class Exam:
    """Asks the model. A case that was judged comes with whether it was right, and what was answered."""

    def __init__(self, ai: Runtime, model: str, wrong: int) -> None:
        self._ai, self._model, self._wrong = ai, model, wrong

    def mark(self, name: str, judged: Iterable[Judged]) -> None:
        right = total = shown = 0
        for case, passed, found in judged:
            right, total = right + passed, total + 1
            if not passed and shown < self._wrong:
                shown += 1
                asked = case.messages[-1]["content"]
                wanted = case.call or case.value or case.answer or case.stated or "no call"
                print(f"    {asked!r}\n      wanted {json.dumps(wanted)}\n      found  {json.dumps(found)}", flush=True)
        print(f"{name:32} {right:4} of {total}  {100 * right / total:5.1f} %", flush=True)

    def calls(self, case: Case, **options: Any) -> Judged:
        found = self._ask(case.messages, tools=list(case.tools), **options)["tool_calls"]
        return case, [_plain(call) for call in found] == [case.call], found

    def calls_nothing(self, case: Case) -> Judged:
        found = self._ask(case.messages, tools=list(case.tools))["tool_calls"]
        return case, not found, found

    def states(self, case: Case) -> Judged:
        """In the turn after the call, whatever was called before."""
        assert case.call is not None
        assert case.result is not None
        called = {"role": "assistant", "content": "", "tool_calls": [case.call]}
        returned = {"role": "tool", "name": case.call["name"], "content": json.dumps(case.result)}
        said = self._ask([*case.messages, called, returned], tools=list(case.tools))["response"] or ""
        return case, _states(said, case.stated), said

    def chats(self, case: Case) -> Judged:
        said = self._ask(case.messages)["response"]
        return case, said.strip() == case.answer if case.answer is not None else _states(said, case.stated), said

    def document(self, case: Case) -> Any:
        asked = {"type": "json_schema", "json_schema": case.schema}
        return self._ask(case.messages, response_format=asked)["response"]

    def _ask(self, messages: Iterable[dict[str, Any]], **more: Any) -> Any:
        return self._ai.run(self._model, messages=list(messages), **FIXED, **more)


def _plain(call: Any) -> dict[str, Any]:
    return {"name": call["name"], "arguments": call["arguments"]}


def _is_right(case: Case, found: Any) -> bool:
    """To the letter, and in the order of the schema."""
    return json.dumps(found) == json.dumps(case.value)


def _is_valid(case: Case, found: Any) -> bool:
    assert case.schema is not None
    return jsonschema.Draft202012Validator(case.schema).is_valid(found)


def _states(said: str, stated: Iterable[str]) -> bool:
    """Each of them as a word of its own."""
    return all(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", said) for one in stated)


if __name__ == "__main__":
    main()
