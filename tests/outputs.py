"""What models answer, and what is to be read in it: the corpus of the tests of `runtime.toolcalls`.

Each line is one fact: the text, the content, the calls. The tools are `TOOLS` unless the table says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Calls = list[tuple[str, dict[str, Any]]]


class Output(NamedTuple):
    text: str
    content: str
    calls: Calls
    tools: list[dict[str, Any]]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


def flat(name: str, **properties: Any) -> dict[str, Any]:
    """A tool in Workers AI's form."""
    return {"name": name, "description": "", "parameters": {"type": "object", "properties": properties}}


STRING, INTEGER, NUMBER, BOOLEAN = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))

TOOLS = [
    tool("weather", city=STRING, days=INTEGER, metric=BOOLEAN),
    flat("search", query=STRING, limit=INTEGER),
    tool("now"),
    flat(
        "plan",
        steps={"type": "array", "items": {"type": "object", "properties": {"at": INTEGER, "what": STRING}}},
        tags={"type": "array", "items": STRING},
        weights={"type": "array", "items": NUMBER},
        options={"type": "object", "properties": {"deep": BOOLEAN}},
        ratio=NUMBER,
        level={"type": ["integer", "null"]},
        note={"anyOf": [{"type": "string"}, {"type": "null"}]},
        limit={"anyOf": [{"type": "integer"}, {"type": "null"}]},
        gone={"type": "null"},
        size={"type": "integer", "nullable": True},
        anything={},
        grade={"enum": [1, 2, "best"]},
        place={"$ref": "#/$defs/place"},
    ),
    tool("weather_map", city=STRING),
]
TOOLS[3]["parameters"]["$defs"] = {"place": {"type": "object", "properties": {"lat": NUMBER, "lon": NUMBER}}}
CODE = [*TOOLS, tool("code_interpreter", code=STRING)]
BUILT_IN = [tool("brave_search", query=STRING), tool("wolfram_alpha", query=STRING)]

ROME = '{"name": "weather", "parameters": {"city": "Rome"}}'
OSLO = '{"name": "weather", "parameters": {"city": "Oslo"}}'
NOW = '{"name": "now", "parameters": {}}'
rome = ("weather", {"city": "Rome"})
oslo = ("weather", {"city": "Oslo"})
now: tuple[str, dict[str, Any]] = ("now", {})


def none(text: str) -> tuple[str, str, Calls]:
    """No call: all of the text is content."""
    return text, text, []


def calls(text: str, *found: tuple[str, dict[str, Any]]) -> tuple[str, str, Calls]:
    """Nothing but calls."""
    return text, "", list(found)


BARE = [
    calls(ROME, rome),
    calls(NOW, now),
    calls(f"\n\n{ROME}\n", rome),
    calls('{\n    "name": "weather",\n    "parameters": {\n        "city": "Rome"\n    }\n}', rome),
    calls('{"name":"weather","parameters":{"city":"Rome"}}', rome),
    calls('{"parameters": {"city": "Rome"}, "name": "weather"}', rome),
    calls(
        '{"name": "weather", "parameters": {"city": "Rome", "days": 3, "metric": true}}',
        ("weather", {"city": "Rome", "days": 3, "metric": True}),
    ),
    calls('{"name": "weather_map", "parameters": {"city": "Rome"}}', ("weather_map", {"city": "Rome"})),
    calls('{"name": "weather", "parameters": {"city": "東京 🗼"}}', ("weather", {"city": "東京 🗼"})),
    calls('{"name": "weather", "parameters": {"city": "S\\u00e3o \\ud83d\\uddfc"}}', ("weather", {"city": "São 🗼"})),
    calls('{"name": "weather", "parameters": {"city": "\\ud83d"}}', ("weather", {"city": "\ufffd"})),
    calls(
        '{"name": "search", "parameters": {"query": "a \\"b\\" {c} [d] }}; \\\\"}}',
        ("search", {"query": 'a "b" {c} [d] }}; \\'}),
    ),
    calls(
        '{"name": "search", "parameters": {"query": "<|python_tag|></function>"}}',
        ("search", {"query": "<|python_tag|></function>"}),
    ),
    calls(
        '{"name": "search", "parameters": {"query": "```{\\"name\\": \\"now\\", \\"parameters\\": {}}"}}',
        ("search", {"query": '```{"name": "now", "parameters": {}}'}),
    ),
    calls(
        '{"name": "search", "parameters": {"query": "tab\\tline\\nslash\\/"}}',
        ("search", {"query": "tab\tline\nslash/"}),
    ),
    calls(
        '{"name": "plan", "parameters": {"options": {"deep": true, "more": {"x": [1, {"y": null}]}}}}',
        ("plan", {"options": {"deep": True, "more": {"x": [1, {"y": None}]}}}),
    ),
    calls(
        '{"name": "weather", "parameters": {"city": "Rome", "mood": "fine"}}',
        ("weather", {"city": "Rome", "mood": "fine"}),
    ),
    calls('{"name": "weather", "parameters": {"city": "Rome"}, "reason": "asked"}', rome),
    calls('{"id": "call_1", "name": "weather", "parameters": {"city": "Rome"}}', rome),
    calls('{"name": "weather", "parameters": {"city": "Oslo", "city": "Rome"}}', rome),
]

TAGGED = [
    calls(f"<|python_tag|>{ROME}", rome),
    calls(f"<|python_tag|>{ROME}<|eom_id|>", rome),
    calls(f"<|python_tag|> \n{ROME}<|eot_id|>", rome),
    calls(
        '<|python_tag|>{\n  "type": "function",\n  "name": "weather",\n  "parameters": {"city": "Rome"}\n}<|eom_id|>',
        rome,
    ),
    calls('{"type": "function", "name": "weather", "parameters": {"city": "Rome"}}', rome),
    calls(f"<|python_tag|>[{ROME}]", rome),
    calls(f"<|start_header_id|>assistant<|end_header_id|>\n\n{ROME}<|eot_id|>", rome),
    (f"Let me look.<|python_tag|>{ROME}<|eom_id|>", "Let me look.", [rome]),
    ("<|python_tag|>", "", []),
    ("<|python_tag|>Hello there.<|eot_id|>", "Hello there.", []),
    ("Hello there.<|eot_id|>", "Hello there.", []),
    ("Hello<|eom_id|> there.<|end_of_text|>", "Hello there.", []),
    ('<|python_tag|>{"name": "nope", "parameters": {}}<|eom_id|>', '{"name": "nope", "parameters": {}}', []),
    ("<|python_tag|>import os\nprint(os)<|eom_id|>", "import os\nprint(os)", []),
    none("<|python_ta"),
    none("<|im_start|> is another family's"),
    ("<|python_<|python_tag|>tag|>x", "x", []),
]

SEVERAL = [
    calls(f"{ROME}; {OSLO}", rome, oslo),
    calls(f"{ROME};{OSLO}", rome, oslo),
    calls(f"{ROME};\n{OSLO};\n{NOW};", rome, oslo, now),
    calls(f"{ROME}\n{OSLO}", rome, oslo),
    calls(f"{ROME}\n\n{OSLO}\n", rome, oslo),
    calls(f"{ROME}, {OSLO}", rome, oslo),
    calls(f"{ROME}{OSLO}", rome, oslo),
    calls(f"{ROME} {OSLO}", rome, oslo),
    calls(f"[{ROME}, {OSLO}]", rome, oslo),
    calls(f"[\n  {ROME},\n  {OSLO}\n]", rome, oslo),
    calls(f"[{ROME}]", rome),
    calls(f"[{ROME}, {OSLO},]", rome, oslo),
    calls(f"<|python_tag|>{ROME}; {OSLO}<|eom_id|>", rome, oslo),
    calls(f"<|python_tag|>{ROME}<|python_tag|>{OSLO}", rome, oslo),
    calls(f"<|python_tag|>{ROME}; <|python_tag|>{OSLO}<|eom_id|>", rome, oslo),
    calls(f"<|python_tag|>{ROME}<|eom_id|>\n<|python_tag|>{OSLO}<|eom_id|>", rome, oslo),
    calls(f'<function=weather>{{"city": "Rome"}}</function>{OSLO}; [now()]', rome, oslo, now),
    calls(f"[weather(city='Rome')]\n{OSLO}", rome, oslo),
    calls(f"{ROME}; {ROME}", rome, rome),
    (f"{ROME}\nand\n{OSLO}", "and", [rome, oslo]),
    (f'{ROME}; {{"name": "nope", "parameters": {{}}}}', '{"name": "nope", "parameters": {}}', [rome]),
    (f'{{"name": "nope", "parameters": {{}}}}; {ROME}', '{"name": "nope", "parameters": {}};', [rome]),
    (f'{ROME}; {{"name": "weather", "param', '{"name": "weather", "param', [rome]),
]

PYTHONIC = [
    calls("[now()]", now),
    calls("[weather(city='Rome')]", rome),
    calls('[weather(city="Rome")]', rome),
    calls("[weather(city='Rome'), weather(city='Oslo')]", rome, oslo),
    calls("[weather(city='Rome'),weather(city='Oslo'),]", rome, oslo),
    calls("[\n    weather(city='Rome'),\n    weather(city='Oslo'),\n]", rome, oslo),
    calls("<|python_tag|>[weather(city='Rome')]<|eot_id|>", rome),
    calls("<|python_tag|>weather(city='Rome')", rome),
    calls("[weather( city = 'Rome' , days = 3 )]", ("weather", {"city": "Rome", "days": 3})),
    calls("[weather(city='Rome', days=-3, metric=True)]", ("weather", {"city": "Rome", "days": -3, "metric": True})),
    calls(
        "[plan(tags=['a', \"b\"], options={'deep': False}, ratio=0.5)]",
        ("plan", {"tags": ["a", "b"], "options": {"deep": False}, "ratio": 0.5}),
    ),
    calls("[plan(note=None, weights=(1, 2.5,))]", ("plan", {"note": None, "weights": [1, 2.5]})),
    calls("[plan(ratio=(2))]", ("plan", {"ratio": 2})),
    calls("[search(query='it\\'s (a) [test], f(x=1)')]", ("search", {"query": "it's (a) [test], f(x=1)"})),
    calls("[weather('Rome', 3)]", ("weather", {"city": "Rome", "days": 3})),
    calls("[weather('Rome', days='3')]", ("weather", {"city": "Rome", "days": 3})),
    calls('weather({"city": "Rome"})', rome),
    calls("now()", now),
    calls("weather(city='Rome')", rome),
    calls("weather(city='Rome'); weather(city='Oslo')", rome, oslo),
    calls("weather(city='Rome')\nweather(city='Oslo')\n", rome, oslo),
    calls("[weather(city='Rome')", rome),
    ("Sure: [weather(city='Rome')]", "Sure:", [rome]),
    ("[weather(city='Rome')] is what I ask.", "is what I ask.", [rome]),
    none("weather(city='Rome') would tell the weather."),
    none("I would call weather(city='Rome')"),
    none("[weather(city=place)]"),
    none("[weather(city='Rome'"),
    none("[weather(city='Rome' + 'x')]"),
    none("[weather('Rome', city='Oslo')]"),
    none("[now(1)]"),
    none("[nope(city='Rome')]"),
    none("[weather(city='Rome') for _ in range(3)]"),
    none("weathers(city='Rome')"),
    none("print(weather(city='Rome'))"),
    none("[1, 2, 3] and [a link](https://example.com)"),
]

FUNCTION = [
    calls('<function=weather>{"city": "Rome"}</function>', rome),
    calls('<function=weather>{"city": "Rome"}', rome),
    calls('<function=weather>{"city": "Rome"}</function><|eot_id|>', rome),
    calls('<function=weather>{"city": "Rome"}"</function>', rome),
    calls('<function=weather>{"city": "Rome"} </function>', rome),
    calls('<function=weather> {"city": "Rome"} "\n</function>\n', rome),
    calls('<function=weather{"city": "Rome"}</function>', rome),
    calls('<function=weather {"city": "Rome"}</function>', rome),
    calls("<function=weather>{'city': 'Rome'}</function>", rome),
    calls('<function=weather>\n{\n  "city": "Rome"\n}\n</function>', rome),
    calls("<function=now>{}</function>", now),
    calls("<function=now>{}", now),
    calls("<function=now></function>", now),
    calls('<function=plan>{"options": {"deep": true}}</function>', ("plan", {"options": {"deep": True}})),
    calls('<function=weather_map>{"city": "Rome"}</function>', ("weather_map", {"city": "Rome"})),
    calls('<function=search>{"query": "</function>"}</function>', ("search", {"query": "</function>"})),
    calls('<function=weather>{"city": "Rome"}</function>\n<function=weather>{"city": "Oslo"}</function>', rome, oslo),
    calls('<function=weather>{"city": "Rome"}</function><function=now>{}</function>', rome, now),
    calls('<|python_tag|><function=weather>{"city": "Rome"}</function><|eom_id|>', rome),
    ('Let me look.\n<function=weather>{"city": "Rome"}</function>\nOne moment.', "Let me look.\nOne moment.", [rome]),
    none('<function=nope>{"city": "Rome"}</function>'),
    none('<function=weather>{"city": "Rome"'),
    none("<function=weather>"),
    none("<function=weather>Rome</function>"),
    none("<function=weather>[1]</function>"),
    none("<function=we"),
    none("Use <function=name> and </function> around it."),
]

BUILT_INS = [
    calls(
        '<|python_tag|>brave_search.call(query="price of gold")<|eom_id|>', ("brave_search", {"query": "price of gold"})
    ),
    calls('brave_search.call(query="price of gold")', ("brave_search", {"query": "price of gold"})),
    calls("<|python_tag|>wolfram_alpha.call(query='x^2 = 4')", ("wolfram_alpha", {"query": "x^2 = 4"})),
    calls(
        'brave_search.call(query="a"); wolfram_alpha.call(query="b")',
        ("brave_search", {"query": "a"}),
        ("wolfram_alpha", {"query": "b"}),
    ),
    ('I will look.\nbrave_search.call(query="a")', "I will look.", [("brave_search", {"query": "a"})]),
    none('You can use brave_search.call(query="a") for that.'),
    ('<|python_tag|>bing.call(query="a")<|eom_id|>', 'bing.call(query="a")', []),
    none('brave_search.cal(query="a")'),
    none("brave_search.call(query=q)"),
]

RAW_CODE = [
    calls("<|python_tag|>print(1)<|eom_id|>", ("code_interpreter", {"code": "print(1)"})),
    calls(
        "<|python_tag|>def f(n):\n    return n < 2\n\nf(7)\n",
        ("code_interpreter", {"code": "def f(n):\n    return n < 2\n\nf(7)"}),
    ),
    calls("<|python_tag|>[x for x in y]", ("code_interpreter", {"code": "[x for x in y]"})),
    calls("<|python_tag|>weather(city=place)", ("code_interpreter", {"code": "weather(city=place)"})),
    calls("<|python_tag|>weather(city='Rome').json()", ("code_interpreter", {"code": "weather(city='Rome').json()"})),
    calls('<|python_tag|>code_interpreter.call(code="print(1)")', ("code_interpreter", {"code": "print(1)"})),
    calls(
        "<|python_tag|>print(1)<|eom_id|><|python_tag|>print(2)<|eom_id|>",
        ("code_interpreter", {"code": "print(1)"}),
        ("code_interpreter", {"code": "print(2)"}),
    ),
    calls("<|python_tag|>```python\nprint(1)\n```<|eom_id|>", ("code_interpreter", {"code": "print(1)"})),
    calls("<|python_tag|>```\nprint(1)", ("code_interpreter", {"code": "print(1)"})),
    calls(f"<|python_tag|>{ROME}", rome),
    ("I compute.<|python_tag|>2 + 2", "I compute.", [("code_interpreter", {"code": "2 + 2"})]),
    ("<|python_tag|><|eom_id|>", "", []),
    ('<|python_tag|>{"name": "nope", "parameters": {}}', '{"name": "nope", "parameters": {}}', []),
    none("print(1)"),
]

MALFORMED = [
    calls('{"name": "weather", "arguments": {"city": "Rome"}}', rome),
    calls('{"function": "weather", "parameters": {"city": "Rome"}}', rome),
    calls('{"tool_name": "weather", "arguments": {"city": "Rome"}}', rome),
    calls('{"function": {"name": "weather", "arguments": {"city": "Rome"}}}', rome),
    calls('{"type": "function", "function": {"name": "weather", "parameters": {"city": "Rome"}}}', rome),
    calls(
        '{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}}',
        rome,
    ),
    calls('{"function": {"name": "weather"}, "parameters": {"city": "Rome"}}', rome),
    calls('{"name": "weather", "parameters": "{\\"city\\": \\"Rome\\"}"}', rome),
    calls('{"name": "weather", "arguments": "{\'city\': \'Rome\'}"}', rome),
    calls('{"name": "weather", "description": "Does weather.", "parameters": {"city": "Rome"}}', rome),
    calls('{"name": "now", "parameters": null}', now),
    calls('{"name": "now", "arguments": ""}', now),
    calls("{'name': 'weather', 'parameters': {'city': 'Rome'}}", rome),
    calls(
        "{'name': 'weather', 'parameters': {'city': \"Rome\", 'metric': True, 'days': None}}",
        ("weather", {"city": "Rome", "metric": True, "days": None}),
    ),
    calls('{"name": "weather", "parameters": {"city": "Rome",},}', rome),
    calls('{"name": "search", "parameters": {"query": "one\ntwo\t"}}', ("search", {"query": "one\ntwo\t"})),
    calls('{"name": "search", "parameters": {"query": "\\d+\\\'"}}', ("search", {"query": "\\d+'"})),
    calls(f"{ROME}}}", rome),
    calls(f"{ROME}]", rome),
    calls(f"```json\n{ROME}\n```", rome),
    calls(f"```\n{ROME}\n```\n", rome),
    calls(f"```{ROME}```", rome),
    calls("```python\n[weather(city='Rome')]\n```", rome),
    calls(f"```tool_call\n{ROME}\n{OSLO}\n```", rome, oslo),
    calls(f"```json\n[\n{ROME},\n{OSLO}\n]\n```", rome, oslo),
    calls(f"```json\n{ROME}\n```\n```json\n{OSLO}\n```", rome, oslo),
    calls(f"```json\n{ROME}", rome),
    calls(f"`{ROME}`", rome),
    (f"Here is the call:\n\n```json\n{ROME}\n```", "Here is the call:", [rome]),
    (f"Here is the call:\n```json\n{ROME}\n```\nIt asks for Rome.", "Here is the call:\n\nIt asks for Rome.", [rome]),
    none('{"name": "weather"}'),
    none('{"name": "now"}'),
    none('{"name": "weather", "city": "Rome"}'),
    none('{"name": "weather", "parameters": ["Rome"]}'),
    none('{"name": "weather", "parameters": "Rome"}'),
    none('{"name": "weather", "parameters": "{\\"city\\": "}'),
    none('{"name": ["weather"], "parameters": {}}'),
    none('{"name": "nope", "parameters": {"city": "Rome"}}'),
    none('{"name": "Weather", "parameters": {"city": "Rome"}}'),
    none('{"name": "", "parameters": {}}'),
    none('{"weather": {"city": "Rome"}}'),
    none('{"name": "weather", "parameters": {"city": Rome}}'),
    none('{"name": "weather", "parameters": {"days": NaN}}'),
    none('{"name": "weather", "parameters": {"days": 1e999}}'),
    none('{"name": "weather", "parameters": {"city": "Rome"}'),
    none('{"name": "weather", "parameters": {"city": "Rome'),
    none('{"name": "weather", "parameters": {"city": "Rome\\'),
    none('{"name": "weather", "parameters":'),
    none('{"name": "wea'),
    none("{"),
    (
        '{"name": "weather", "parameters": {"city": "Rome"}<|eot_id|>',
        '{"name": "weather", "parameters": {"city": "Rome"}',
        [],
    ),
    (f'{{"name": "now", "parameters": {{}}\n{ROME}', '{"name": "now", "parameters": {}\n', [rome]),
]

BESIDE = [
    (f"Let me look.\n\n{ROME}", "Let me look.", [rome]),
    (f"Let me look: {ROME}", "Let me look:", [rome]),
    (f"{ROME}\n\nOne moment.", "One moment.", [rome]),
    (f"Let me look.\n\n{ROME}\n\nOne moment.", "Let me look.\n\nOne moment.", [rome]),
    (f"Look {ROME} now", "Look now", [rome]),
    (f"Look\n{ROME}; {OSLO} now", "Look now", [rome, oslo]),
    (f"{ROME}, then the rest.", ", then the rest.", [rome]),
    (f'Use {{x}} or {{"a": 1}}: {ROME}', 'Use {x} or {"a": 1}:', [rome]),
    (f"It's {{'it's' here}} {ROME}", "It's {'it's' here}", [rome]),
    (f'```json\n{{"a": 1}}\n```\n{ROME}', '```json\n{"a": 1}\n```', [rome]),
    (f"```python\nprint(1)\n```\n{ROME}", "```python\nprint(1)\n```", [rome]),
]

NO_CALL = [
    none(""),
    none(" \n "),
    none("Hello! How can I help?"),
    none("I would use weather for that, or weather_map."),
    none("now and then"),
    none("weather"),
    none('{"answer": 4}'),
    none('{"name": "Alice", "age": 3}'),
    none('{"name": "Alice", "parameters": {"age": 3}}'),
    none('{"name": "weather", "description": "Does weather.", "parameters": {"type": "object"}}'),
    none('{"name": "now", "parameters": {"type": "object", "properties": {}}}'),
    none('{"name": "now", "description": "Does now.", "parameters": {}}'),
    none('{"type": "function", "function": {"name": "now", "description": "", "parameters": {"type": "object"}}}'),
    none('{"cities": ["Rome"], "next": ' + ROME + "}"),
    none('{"type": "object", "properties": {"name": {"type": "string"}}}'),
    none('[{"name": "Alice"}, {"name": "Bob"}]'),
    none('```json\n{"name": "Alice", "age": 3}\n```'),
    none(f"```python\nrun({ROME})\n```"),
    none(f"The format is `{ROME}`, as JSON."),
    none(f"The format is ``{ROME}``, as JSON."),
    none("{{ jinja }} {% if x %} ${var} <b>bold</b> a < b && c > d"),
    none('{"escaped": "\\"name\\": \\"weather\\""} and {"more": [1, 2, {"name": "now"}]}'),
    none("Sets like {1, 2} and f(x) = [0, 1]"),
    none("{'name': 'Bob'} [] {} () `` ```` \"'"),
]

ARGUMENTS = [
    ("weather", "days", '"4"', 4),
    ("weather", "days", '" 4 "', 4),
    ("weather", "days", '"-12"', -12),
    ("weather", "days", "4.0", 4),
    ("weather", "days", '"4.0"', 4),
    ("weather", "days", '"4.5"', "4.5"),
    ("weather", "days", "4.5", 4.5),
    ("weather", "days", '"04"', "04"),
    ("weather", "days", '"four"', "four"),
    ("weather", "days", '""', ""),
    ("weather", "days", '"123456789012345678901234567890"', 123456789012345678901234567890),
    ("weather", "days", "true", True),
    ("weather", "city", '"4"', "4"),
    ("weather", "city", '"true"', "true"),
    ("weather", "city", "4", 4),
    ("weather", "metric", '"true"', True),
    ("weather", "metric", '"False"', False),
    ("weather", "metric", '"yes"', "yes"),
    ("weather", "metric", "1", 1),
    ("weather", "mood", '"4"', "4"),
    ("plan", "ratio", '"0.5"', 0.5),
    ("plan", "ratio", '"10"', 10),
    ("plan", "ratio", '"1e3"', 1000.0),
    ("plan", "ratio", '"0.1234567890123456789"', "0.1234567890123456789"),
    ("plan", "ratio", '"1e999"', "1e999"),
    ("plan", "ratio", '"NaN"', "NaN"),
    ("plan", "tags", '"[\\"a\\", \\"b\\"]"', ["a", "b"]),
    ("plan", "tags", "\"['a']\"", ["a"]),
    ("plan", "tags", '"a, b"', "a, b"),
    ("plan", "tags", '"[a"', "[a"),
    ("plan", "tags", '["1", "2"]', ["1", "2"]),
    ("plan", "weights", '"[1, 2]"', [1, 2]),
    ("plan", "weights", '["1", "x", 2]', [1, "x", 2]),
    ("plan", "steps", '[{"at": "1", "what": "2"}]', [{"at": 1, "what": "2"}]),
    ("plan", "steps", '"[{\\"at\\": \\"1\\"}]"', [{"at": 1}]),
    ("plan", "options", '"{\\"deep\\": \\"true\\"}"', {"deep": True}),
    ("plan", "options", '{"deep": "true", "x": "1"}', {"deep": True, "x": "1"}),
    ("plan", "options", '"none"', "none"),
    ("plan", "level", '"3"', 3),
    ("plan", "level", '"null"', None),
    ("plan", "level", '"None"', None),
    ("plan", "note", '"null"', "null"),
    ("plan", "note", '"3"', "3"),
    ("plan", "limit", '"3"', 3),
    ("plan", "limit", "null", None),
    ("plan", "gone", '"null"', None),
    ("plan", "size", '"7"', 7),
    ("plan", "size", '"null"', None),
    ("plan", "anything", '"3"', "3"),
    ("plan", "grade", '"1"', 1),
    ("plan", "grade", '"best"', "best"),
    ("plan", "grade", '"3"', "3"),
    ("plan", "place", '{"lat": "41.9", "lon": 12}', {"lat": 41.9, "lon": 12}),
]

CONVERTED = [
    calls(f'{{"name": "{name}", "parameters": {{"{key}": {given}}}}}', (name, {key: found}))
    for name, key, given, found in ARGUMENTS
]

TABLES = [
    (BARE, TOOLS),
    (TAGGED, TOOLS),
    (SEVERAL, TOOLS),
    (PYTHONIC, TOOLS),
    (FUNCTION, TOOLS),
    (BUILT_INS, BUILT_IN),
    (RAW_CODE, CODE),
    (MALFORMED, TOOLS),
    (BESIDE, TOOLS),
    (NO_CALL, TOOLS),
    (CONVERTED, TOOLS),
]
OUTPUTS = [Output(*line, tools) for table, tools in TABLES for line in table]
