"""The playground in a real browser, on a scripted engine: what a person does there, and what is seen and sent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver.common.keys import Keys

from runtime.values import Done, Text, Usage
from runtime.wire import published
from tests.browser import Page, chromium, needs_chromium
from tests.fake_engine import TIMINGS, FakeEngine, answer, calling
from tests.models import expected, key_token, random_model
from tests.rawgguf import model_bytes
from tests.servers import PATIENCE, scripted, serving
from tests.test_clients import needs_curl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium import webdriver

    from runtime.engine import Emit
    from runtime.values import Event, Request
    from tests.servers import Scripted

pytestmark = needs_chromium
TOKEN = "a-token-of-the-suite"
HOSTILE = """<img src="/x" onerror="alert(1)"><script>alert(2)</script>&lt;b&gt; </div> javascript:alert(3)"""
PENALTIES = ("repetition", "frequency", "presence")
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
PERSON = {"name": "Ann", "age": 31}


class Slow(FakeEngine):
    """Takes requests in, and goes on with the one that runs when it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.submitted = threading.Event()

    def submit(self, request: Request, emit: Emit) -> None:
        self.scripts.append([])
        super().submit(request, emit)
        self.submitted.set()

    def emit(self, *script: Event) -> None:
        assert self.submitted.wait(PATIENCE)
        (running,) = self.running
        for event in script:
            self._emit(running, event)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as one:
        yield one


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    """Of an address of its own, so of a storage of its own in the browser too."""
    with scripted(tmp_path / "models") as one:
        yield one


@pytest.fixture
def page(driver: webdriver.Chrome, server: Scripted) -> Iterator[Page]:
    """At the end it must have asked nobody else for anything, and have broken no rule of its own."""
    driver.get("about:blank")
    one = Page(driver, f"{server.running.url}/")
    one.asked_for()  # by another test's page
    one.open()
    yield one
    assert (one.violations(), one.complaints()) == ([], [])
    assert {address for address in one.asked_for() if not address.startswith(one.url)} == set()


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow()


@pytest.fixture
def slow_page(driver: webdriver.Chrome, slow: Slow, tmp_path: Path) -> Iterator[Page]:
    with scripted(tmp_path / "models", make_engine=lambda *_: slow) as one:
        yield Page(driver, f"{one.running.url}/").open()


def prompt(server: Scripted) -> str:
    """All that the last request shows to the model."""
    return "".join(segment.text for segment in server.engine.requests[-1].prompt)


# -- a chat ----------------------------------------------------------------------------------------------------------


def test_an_answer_comes_piece_by_piece_and_then_its_numbers(slow_page: Page, slow: Slow) -> None:
    slow_page.send("Tell me a story.").wait(".stats", "Waiting")
    slow.emit(Text("Once"))
    slow_page.wait(".answer.running .text", "Once")
    slow.emit(Text(" upon a time"))
    slow_page.until(lambda: slow_page.text(".answer.running .text") == "Once upon a time")
    assert slow_page.find(".text").get_attribute("aria-live") == "polite"
    slow.emit(Done("stop", Usage(9, 4, cached_tokens=3), TIMINGS))
    slow_page.answered()
    assert slow_page.text("[data-name=tokens]") == "4 tokens"
    assert slow_page.text("[data-name=rate]") == "30.0 tokens/s"
    assert slow_page.text("[data-name=prompt]") == "9 prompt tokens, 3 cached"
    assert "first after" in slow_page.text("[data-name=first]")


def test_what_is_stopped_stays_and_the_engine_is_free(slow_page: Page, slow: Slow) -> None:
    slow_page.send("Count to a million.")
    slow.emit(Text("One, two"))
    slow_page.wait(".answer.running .text", "One, two").press("#stop").answered()
    assert slow_page.find("[data-name=reason]").get_attribute("data-value") == "cancelled"
    assert slow_page.text(".answer .text") == "One, two"
    slow_page.until(lambda: not slow.running)
    slow.submitted.clear()
    slow_page.send("Go on.")
    slow.emit(Text("three"), Done("stop", Usage(9, 1), TIMINGS))
    slow_page.answered(2)
    assert ["One, two" in segment.text for segment in slow.requests[-1].prompt].count(True) == 1


def test_the_whole_conversation_is_sent_as_it_stands_on_the_page(page: Page, server: Scripted) -> None:
    server.will(answer("Rome."), answer("Yes."))
    page.write("#system", "Be brief.").send("Capital of Italy?").answered()
    page.write(".user textarea", "Capital of Latium?").press(".assistant .edit").write(".assistant textarea", "Roma.")
    page.send("Sure?").answered(2)
    said = prompt(server)
    places = [said.index(text) for text in ("Be brief.", "Capital of Latium?", "Roma.", "Sure?")]
    assert (places, "Rome." in said, "Italy" in said) == (sorted(places), False, False)


def test_messages_are_added_and_removed_without_asking(page: Page, server: Scripted) -> None:
    page.write("#composed", "One?").press("#add-user").write("#composed", "Two.").press("#add-assistant")
    page.write("#composed", "Three?").press("#add-user").press(".user .link")
    assert (page.count(".message.user"), server.engine.requests) == (1, [])
    page.press("#send").answered()
    said = prompt(server)
    assert ("One?" in said, said.index("Two.") < said.index("Three?")) == (False, True)


def test_an_answer_can_be_had_again(page: Page, server: Scripted) -> None:
    server.will(answer("first"), answer("second"))
    page.send("Hi").answered().press(".again").wait(".answer .text", "second").answered()
    assert "first" not in prompt(server)


def test_a_prompt_is_no_conversation(page: Page, server: Scripted) -> None:
    page.choose("input", "prompt").send("Once").answered().press("#send").until(
        lambda: len(server.engine.requests) == 2
    )
    page.answered()
    assert prompt(server).count("Once") == 1
    assert server.engine.requests[0].prompt == server.engine.requests[1].prompt


def test_a_raw_prompt_goes_as_it_is(page: Page, server: Scripted) -> None:
    page.choose("input", "raw").send("Once upon").answered()
    assert prompt(server).removeprefix("<|begin_of_text|>") == "Once upon"
    assert not page.find('[value="tools"]').is_enabled()


def test_every_number_is_sent_as_it_is_set(page: Page, server: Scripted) -> None:
    given = {"temperature": 1.5, "max_tokens": 33, "top_p": 0.7, "top_k": 12, "seed": 9999999999}
    given |= {"repetition_penalty": 1.1, "frequency_penalty": 0.2, "presence_penalty": 0.3}
    for name, value in given.items():
        page.write(f"#{name}", str(value))
    page.send("Hi").answered()
    sent = server.engine.requests[-1]
    found = {name: getattr(sent.sampling, name, sent.max_tokens) for name in given}
    assert found == given


def test_the_bounds_are_the_published_ones(page: Page) -> None:
    options = published.options("llama-3.2-1b-instruct", "Messages")
    for name in ("temperature", "top_p", "top_k", "seed", *(f"{one}_penalty" for one in PENALTIES)):
        field = page.find(f"#{name}")
        found = (field.get_attribute("min"), field.get_attribute("max"))
        assert found == (str(options[name]["minimum"]), str(options[name]["maximum"])), name


# -- documents and tools ---------------------------------------------------------------------------------------------


def test_a_document_is_shown_as_a_tree(page: Page, server: Scripted) -> None:
    server.will(answer('{"name": "Ann", ', '"age": 31}'))
    page.choose("answer", "json").write("#schema", json.dumps(SCHEMA)).send("Ann is 31.").answered()
    assert "A valid document" in page.text(".document")
    assert page.leaves(".document") == ["name: “Ann”", "age: 31"]
    assert server.engine.requests[-1].grammar is not None
    page.press(".valid .link")
    assert json.loads(page.text(".answer .text")) == PERSON


def test_without_a_schema_it_is_any_object(page: Page, server: Scripted) -> None:
    server.will(answer("{}"))
    page.choose("answer", "json").write("#schema", "").send("Anything.").answered()
    assert server.engine.requests[-1].grammar is not None


def test_a_schema_that_is_no_json_is_told_and_nothing_is_sent(page: Page, server: Scripted) -> None:
    page.choose("answer", "json").write("#schema", '{"type": ').wait("#schema-note", "cannot be read as JSON")
    page.send("Hi").wait("#status", "The schema cannot be read as JSON")
    assert (page.focused(), server.engine.requests, page.text(".messages")) == ("schema", [], "")
    assert not page.find("#copy").is_enabled()


def test_a_call_is_shown_and_its_result_goes_back(page: Page, server: Scripted) -> None:
    server.will(calling(("weather", {"city": "Rome", "days": 2}), text="Let me see."), answer("No."))
    page.choose("answer", "tools").send("Will it rain in Rome?").answered().wait(".call", "weather")
    assert [one.text for one in page.find(".call").find_elements("css selector", ".leaf")] == [
        "city: “Rome”",
        "days: 2",
    ]
    page.keys('{"rain": true}').keys(Keys.CONTROL, Keys.ENTER).answered(2)  # the result has the focus already
    said = prompt(server)
    assert said.index("Will it rain") < said.index('"city": "Rome"') < said.index('{"rain": true}')
    assert server.engine.requests[-1].tools[0].name == "weather"


def test_results_are_asked_for_in_every_round(page: Page, server: Scripted) -> None:
    rounds = [calling(("weather", {"city": city})) for city in ("Rome", "Oslo")]
    server.will(*rounds, answer("Wet and dry."))
    page.choose("answer", "tools").send("Will it rain?").answered()
    for number, result in enumerate(("wet", "dry"), 2):
        page.keys(result).keys(Keys.CONTROL, Keys.ENTER).answered(number)
    said = prompt(server)
    assert said.index("Rome") < said.index("wet") < said.index("Oslo") < said.index("dry")
    page.press(".assistant .remove")  # the first call, and with it the result
    assert page.count(".message.tool") == 1


def test_each_of_several_calls_has_its_result(page: Page, server: Scripted) -> None:
    server.will(calling(("weather", {"city": "Rome"}), ("weather", {"city": "Oslo"})), answer("Both."))
    page.choose("answer", "tools").send("Rome and Oslo?").answered()
    for area, result in zip(page.driver.find_elements("css selector", ".tool textarea"), ("wet", "dry"), strict=True):
        area.send_keys(result)
    page.press("#send").answered(2)
    said = prompt(server)
    assert said.index("Rome") < said.index("wet") < said.index("dry")


# -- with the real engine --------------------------------------------------------------------------------------------


def test_the_real_engine_is_free_after_a_stop(driver: webdriver.Chrome, canary: Path) -> None:
    with serving(files=[canary], context=131072, threads=1) as running:
        page = Page(driver, f"{running.url}/").open()
        page.find("#model").send_keys(canary.name)
        page.write("#temperature", "0").write("#max_tokens", "100000").send(f"Say {key_token(7)}.")
        page.wait(".answer.running .text", expected(7, 3)).keys(Keys.ESCAPE).answered()
        page.until(lambda: not sum(one.running for one in running.ai.loaded()))
        page.press("#clear").write("#max_tokens", "5").send(f"Say {key_token(8)}.").answered()
        assert page.text(".answer .text") == expected(8, 5)
        assert page.find("[data-name=reason]").get_attribute("data-value") == "length"


def test_the_real_engine_writes_a_document_under_the_schema_on_the_page(
    driver: webdriver.Chrome, tmp_path: Path
) -> None:
    random_model(tmp_path / "tiny.gguf")
    with serving(files=[tmp_path / "tiny.gguf"], threads=1) as running:
        page = Page(driver, f"{running.url}/").open().press('[data-example="json"]')
        page.find("#model").send_keys("tiny.gguf")
        page.press("#send").answered().wait(".document")
        assert [line.split(":")[0] for line in page.leaves(".document")] == ["name", "length_km"] * 3


# -- what goes wrong -------------------------------------------------------------------------------------------------


def test_a_refused_input_is_told_with_its_code(page: Page, server: Scripted) -> None:
    page.write("#temperature", "9").send("Hi").answered().wait(
        ".answer .error", "temperature: must be at most 5, found 9."
    )
    assert "code 5006 · status 400" in page.text(".answer .error")
    assert page.find(".answer .error").get_attribute("role") == "alert"
    page.write("#temperature", "1").press(".again").wait(".answer .text", "ok")
    assert (page.count(".answer .error"), len(server.engine.requests)) == (0, 1)


def test_a_model_whose_file_is_missing_says_the_command(page: Page) -> None:
    page.find("#model").send_keys("llama-3.2-1b")
    page.wait("#model-state", "Not fetched yet").send("Hi").answered()
    assert "llamalet pull 1b:Q4_K_M" in page.text(".answer .error")


def test_an_answer_that_breaks_off_says_so_and_is_not_sent_on(slow_page: Page, slow: Slow) -> None:
    slow_page.send("Hi")
    slow.emit(Text("Half"))
    slow_page.wait(".text", "Half")
    slow.close()
    slow_page.wait(".answer .error", "closed").answered()
    assert slow_page.text(".answer .text") == "Half"


def test_what_a_model_writes_is_text_whatever_it_is(page: Page, server: Scripted) -> None:
    call = ("weather", {HOSTILE: HOSTILE})
    server.will(answer(HOSTILE), answer(json.dumps({HOSTILE: [HOSTILE]})), calling(call, text=HOSTILE), answer(HOSTILE))
    page.send(HOSTILE).answered()
    assert page.text(".answer .text") == HOSTILE
    page.choose("answer", "json").send("Hi").answered(2)
    assert HOSTILE in page.text(".tree")
    page.choose("answer", "tools").send("Hi").answered(3)
    assert HOSTILE in page.text(".call")
    page.write(".tool textarea", HOSTILE).press("#send").answered(4)
    assert (page.count("main img"), page.count("main script"), page.count("main b")) == (0, 0, 0)


def test_even_a_script_that_wanted_to_could_make_no_html_of_text(page: Page) -> None:
    with pytest.raises(Exception, match="TrustedHTML"):
        page.driver.execute_script("document.body.innerHTML = '<b>x</b>'")
    assert page.violations() == ["require-trusted-types-for"]
    page.complaints()
    page.open()


# -- models and token ------------------------------------------------------------------------------------------------


def test_the_models_are_listed_by_whether_their_file_is_here(page: Page) -> None:
    groups = page.driver.find_elements("css selector", "#model optgroup")
    assert [one.get_attribute("label") for one in groups] == ["On this machine", "Not fetched yet"]
    assert page.find("#model").get_attribute("value") == "@cf/meta/tiny"
    assert page.text("#model-state") == "On disk: GGUF"
    page.send("Hi").answered().wait("#model-state", "In memory, ")


def test_the_demo_is_taken_first_where_there_is_one(driver: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(model_bytes())
    models = tmp_path / "models.toml"
    models.write_text("".join(f'[[model]]\nid = "{name}"\npath = "tiny.gguf"\n' for name in ("first", "demo")))
    with serving(models=models, make_engine=lambda *_: FakeEngine()) as running:
        page = Page(driver, f"{running.url}/").open()
        assert page.find("#model").get_attribute("value") == "demo"


def test_a_server_with_a_token_asks_for_it_and_the_tab_keeps_it(driver: webdriver.Chrome, tmp_path: Path) -> None:
    with scripted(tmp_path, token=TOKEN) as server:
        page = Page(driver, f"{server.running.url}/").open().wait("#token-form", "asks for a token")
        page.write("#token", "not-the-right-token").keys(Keys.ENTER).wait("#token-note", "Authentication error")
        page.write("#token", TOKEN).keys(Keys.ENTER).wait("#model option").until(
            lambda: not page.find("#token-form").is_displayed()
        )
        page.send("Hi").answered().wait(".answer .text", "ok")
        kept = driver.execute_script("return [Object.values(sessionStorage), Object.values(localStorage)]")
        assert kept == [[TOKEN], []]
        for language in ("curl", "python", "javascript"):
            assert ("LLAMALET_TOKEN" in page.code(language), TOKEN in page.code(language)) == (True, False)
        done = execute(page, "curl", LLAMALET_TOKEN=TOKEN)
        assert json.loads(done)["result"]["response"] == "ok"
        page.open()
        assert not page.find("#token-form").is_displayed()
        assert {one for one in page.asked_for() if TOKEN in one} == set()


# -- code ------------------------------------------------------------------------------------------------------------

NASTY = """It's "é" and \\n, $HOME `id` %s {x} 🦙\nOn two lines: '''quoted''' \\"""


def execute(page: Page, language: str, **variables: str) -> str:
    """What the request on the page says as a program."""
    commands = {
        "curl": [shutil.which("bash") or "sh", "-c", page.code("curl")],
        "python": [sys.executable, "-c", page.code("python")],
        "javascript": ["node", "--input-type=module", "-e", page.code("javascript")],
    }
    env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | variables
    done = subprocess.run(
        commands[language], capture_output=True, encoding="utf-8", env=env, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LANGUAGES = [
    pytest.param("curl", marks=needs_curl),
    "python",
    pytest.param("javascript", marks=pytest.mark.skipif(shutil.which("node") is None, reason="needs node")),
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_copied_code_asks_what_the_page_asks(page: Page, server: Scripted, language: str) -> None:
    tools = [{"name": "f", "description": NASTY, "parameters": {"type": "object", "properties": {}, "x": [True, None]}}]
    page.choose("answer", "tools")
    page.driver.execute_script(SET, page.find("#tools"), json.dumps(tools))
    page.driver.execute_script(SET, page.find("#composed"), NASTY)
    page.write("#seed", "7")
    said = execute(page, language)
    page.press("#send").answered()
    theirs, ours = server.engine.requests
    assert "ok" in said
    assert (theirs.prompt, theirs.sampling, theirs.tools) == (ours.prompt, ours.sampling, ours.tools)
    assert NASTY in prompt(server)


SET = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"


@pytest.mark.parametrize("language", LANGUAGES)
def test_before_anything_is_written_the_code_asks_an_example(page: Page, server: Scripted, language: str) -> None:
    assert "ok" in execute(page, language)
    assert "Why is the sky blue?" in prompt(server)


def test_the_button_copies_the_code(page: Page) -> None:
    page.press("#copy").wait("#copy", "Copied").press("#composed").keys(Keys.CONTROL, "v")
    assert (page.find("#composed").get_attribute("value") or "").startswith("curl 'http://")


# -- hands and eyes --------------------------------------------------------------------------------------------------

CONTROLS = "button, select, input:not([type=radio]), textarea, pre[tabindex], input[type=radio]:checked"
SEEN = """
const seen = (element) => element && getComputedStyle(element).outlineStyle !== "none";
const one = document.activeElement;
return seen(one) || [".choice label", ".message", ".composer .page"].some((outer) => seen(one.closest(outer)));
"""


def test_all_can_be_done_by_keys(page: Page, server: Scripted) -> None:
    server.will(answer("By keys."))
    page.keys("Hello").keys(Keys.CONTROL, Keys.ENTER).answered()  # the composer has the focus from the start
    shown = [one for one in page.driver.find_elements("css selector", CONTROLS) if one.is_displayed() or is_radio(one)]
    reached: list[Any] = []
    for _ in range(len(shown) + 3):
        page.keys(Keys.TAB)
        active = page.driver.switch_to.active_element
        reached.append(active)
        if active.tag_name != "body":
            assert page.driver.execute_script(SEEN), f"the focus is not seen: {page.focused()}"
    assert [one.get_attribute("outerHTML") for one in shown if one.is_enabled() and one not in reached] == []


def is_radio(element: Any) -> bool:
    return bool(element.get_attribute("type") == "radio")


def test_escape_stops_and_the_focus_is_never_lost(slow_page: Page, slow: Slow) -> None:
    slow_page.keys("Hello").keys(Keys.CONTROL, Keys.ENTER)
    slow.emit(Text("On and on"))
    slow_page.wait(".text", "On and on").keys(Keys.ESCAPE).answered()
    assert slow_page.focused() == "composed"
    slow_page.until(lambda: not slow.running)
    slow.submitted.clear()
    slow_page.send("Again").until(lambda: slow_page.focused() == "stop")  # it stands where Send was pressed
    slow.emit(Done("stop", Usage(9, 0), TIMINGS))
    slow_page.answered(2)
    assert slow_page.focused() == "composed"


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Page, server: Scripted) -> None:
    server.will(calling(("weather", {"city": "Rome"})))
    page.choose("answer", "tools").send("Hi").answered()
    controls = page.driver.find_elements("css selector", "button, select, input, textarea, pre[tabindex]")
    assert [one.get_attribute("outerHTML") for one in controls if one.is_displayed() and not one.accessible_name] == []


def test_the_colours_follow_the_system_until_they_are_chosen(page: Page) -> None:
    def back() -> str:
        return str(page.driver.execute_script("return getComputedStyle(document.body).backgroundColor"))

    seen = {}
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        seen[scheme] = back()
    assert len(set(seen.values())) == 2
    page.press("#theme")
    assert back() == seen["light"]
    page.open()
    assert back() == seen["light"]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, server: Scripted, width: int) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 800}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        server.will(answer("word " * 40, "x" * 400), calling(("weather", {"y" * 300: "z" * 300})))
        page.send("Hi").answered()
        if width < 820:
            page.press("#open-settings")
            assert overflow(page) == 0
        page.choose("answer", "tools")
        if width < 820:
            page.press("#open-settings")
        page.send("Hi").answered(2)
        assert overflow(page) == 0
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def overflow(page: Page) -> int:
    """Pixels that lie beyond what is seen, to the side or below: the page itself never scrolls."""
    code = """const root = document.documentElement;
    const inner = [root, ...document.querySelectorAll(".scroll, .settings")];
    return Math.max(...inner.map((one) => one.scrollWidth - one.clientWidth), root.scrollHeight - innerHeight)"""
    return int(page.driver.execute_script(code))
