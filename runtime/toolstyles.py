"""How tools are shown to the model, and how it is seen to have called them.

    json      `{"name": "f", "parameters": {...}}`, as the chat templates have it. What the models answer best
    pythonic  `[f(a=1), g(b='x')]`, Meta's for several calls at once (llama-models, llama3_2/text_prompt_format.md)
    function  `<function=f>{...}</function>`, Meta's own example of another format (llama3_3/prompt_format.md)

The texts are Meta's, but for the one line of the last that speaks of a built-in tool, which we do not offer. Calls of
earlier turns are written in the style that the tools are shown in, several at once as the models write several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.messages import expected, json_text
from runtime.toolcalls.literal import CONSTANTS, NAME
from runtime.tools import as_definition, as_tool, bare_definition
from runtime.values import Tool, ToolCall

Tools = Sequence[Mapping[str, Any] | Tool]

# The two sentences run together in the published text: "value}.Do", and "call.Respond" in that for the system block.
RESPOND = 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
IN_USER = (
    "Given the following functions, please respond with a JSON for a function call "
    "with its proper arguments that best answers the given prompt.\n\n"
    f"{RESPOND}Do not use variables.\n\n"
)
IN_SYSTEM = (
    "You have access to the following functions. To call a function, please respond with JSON for a function call."
    f"{RESPOND}Do not use variables.\n\n"
)

PYTHONIC_IN_SYSTEM = """\
You are an expert in composing functions. You are given a question and a set of possible functions.
Based on the question, you will need to make one or more function/tool calls to achieve the purpose.
If none of the function can be used, point it out. If the given question lacks the parameters required by the function,
also point it out. You should only return the function call in tools call sections.

If you decide to invoke any of the function(s), you MUST put it in the format of \
[func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)]
You SHOULD NOT include any other text in the response.

Here is a list of functions in JSON format that you can invoke.

"""
PYTHONIC_AFTER_USER = """

Should you decide to return the function call(s),Put it in the format of \
[func1(params_name=params_value, params_name2=params_value2...), func2(params)]

NO other text MUST be included."""

FUNCTION_RULES = """\
Think very carefully before calling functions.
If you choose to call a function ONLY reply in the following format with no prefix or suffix:

<function=example_function_name>{"example_name": "example_value"}</function>

Reminder:
- Function calls MUST follow the specified format, start with <function= and end with </function>
- Required parameters MUST be specified
- Only call one function at a time
- Put the entire function call reply on one line"""


@dataclass(frozen=True, slots=True)
class ToolStyle:
    """`in_user` and `in_system` put the tools beside the text of the first turn, or of the system block; `write` writes
    calls. `environment`: whether the system block says "Environment: ipython", as Meta's examples of the style do.
    """

    in_user: Callable[[Tools, str], str]
    in_system: Callable[[Tools, str], str]
    write: Callable[[Sequence[ToolCall]], str]
    environment: bool = True


def _definitions(tools: Tools) -> str:
    """One after the other, in either form as they are, in the order of their keys."""
    return "".join(json_text(_checked(tool, at), f"tools[{at}]", indent=4) + "\n\n" for at, tool in enumerate(tools))


def _list(tools: Tools) -> str:
    """One array of flat definitions, as both of Meta's examples have."""
    return json_text([dict(bare_definition(_checked(tool, at))) for at, tool in enumerate(tools)], "tools", indent=4)


def _sentences(tools: Tools) -> str:
    return "".join(_sentence(_checked(tool, at), f"tools[{at}]") for at, tool in enumerate(tools))


def _sentence(tool: Mapping[str, Any], path: str) -> str:
    known = as_tool(tool)
    if known is None:
        expected(path, "a function with a name", tool)
    definition = json_text(dict(bare_definition(tool)), path)
    return f"Use the function '{known.name}' to '{known.description}':\n{definition}\n\n"


def _checked(tool: Any, at: int) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping | Tool):
        expected(f"tools[{at}]", "an object that defines a function", tool)
    return dict(as_definition(tool))


def _json_call(call: ToolCall) -> str:
    # The template does not escape the name. It cannot do harm: it is plain text.
    return f'{{"name": "{call.name}", "parameters": {json_text(dict(call.arguments), "arguments")}}}'


def _json_calls(calls: Sequence[ToolCall]) -> str:
    """The templates raise where there are several. The models write "; " between them (BFCL's records)."""
    return "; ".join(map(_json_call, calls))


def _python_calls(calls: Sequence[ToolCall]) -> str:
    """As JSON where a name or an argument cannot be written in Python."""
    names = [name for call in calls for name in (*call.name.split("."), *call.arguments)]
    if not all(NAME.fullmatch(name) and name not in CONSTANTS for name in names):
        return _json_calls(calls)
    return f"[{', '.join(map(_python_call, calls))}]"


def _python_call(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"


def _function_calls(calls: Sequence[ToolCall]) -> str:
    texts = [json_text(dict(call.arguments), "arguments") for call in calls]
    return "\n".join(f"<function={call.name}>{text}</function>" for call, text in zip(calls, texts, strict=True))


def _function_text(tools: Tools, text: str) -> str:
    return f"You have access to the following functions:\n\n{_sentences(tools)}{FUNCTION_RULES}\n\n{text}"


def _pythonic_in_user(tools: Tools, text: str) -> str:
    heading = "Here is a list of functions in JSON format that you can invoke:"
    return f"Questions: {text}\n{heading}\n{_list(tools)}{PYTHONIC_AFTER_USER}"


STYLES = {
    "json": ToolStyle(
        in_user=lambda tools, text: IN_USER + _definitions(tools) + text,
        in_system=lambda tools, text: IN_SYSTEM + _definitions(tools) + text,
        write=_json_calls,
    ),
    "pythonic": ToolStyle(
        in_user=_pythonic_in_user,
        in_system=lambda tools, text: PYTHONIC_IN_SYSTEM + _list(tools) + (f"\n\n{text}" if text else ""),
        write=_python_calls,
        environment=False,
    ),
    "function": ToolStyle(in_user=_function_text, in_system=_function_text, write=_function_calls),
}
