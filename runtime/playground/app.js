// The page: what is pressed, and what comes of it.

import * as api from "./api.js";
import * as chat from "./chat.js";
import { $, choose, confirm, copy } from "./dom.js";
import { QUESTIONS, SCHEMA, SYSTEM, TOOLS } from "./examples.js";
import { update } from "./form.js";
import * as models from "./models.js";
import { openSettings } from "./panel.js";
import * as token from "./token.js";

const NO_TOKEN = 9106; // the code for none

function example(name) {
  choose("answer", name);
  $("composed").value = QUESTIONS[name];
  update();
  $("composed").focus();
}

// -- models and token -------------------------------------------------------------------------------------------------

async function loadModels() {
  try {
    await models.load();
    $("token-form").hidden = true;
    $("problem").hidden = true;
  } catch (problem) {
    if (api.NEEDS_TOKEN.includes(problem.code)) askForToken(problem);
    else [$("problem").textContent, $("problem").hidden] = [problem.message, false];
  }
  $("open-token").hidden = !token.get();
  update();
}

function askForToken(problem) {
  const isAsked = problem.code === NO_TOKEN;
  $("token-note").textContent = isAsked ? "Kept in this tab only, until it is closed." : problem.message;
  $("token-form").hidden = false;
  $("token").focus();
}

// -- what is pressed --------------------------------------------------------------------------------------------------

const on = (id, event, act) =>
  $(id).addEventListener(event, (happened) => {
    if (event === "submit") happened.preventDefault();
    act();
  });

on("composer", "submit", () => chat.send());
on("stop", "click", chat.stop);
on("add-user", "click", () => chat.add("user"));
on("add-assistant", "click", () => chat.add("assistant"));
on("clear", "click", chat.clear);
on("composed", "input", update);
on("system", "input", update);
on("settings", "input", update);
on("settings", "submit", () => {});
on("open-settings", "click", () => openSettings(!document.body.classList.contains("settings-open")));
on("open-token", "click", () => {
  $("token-form").hidden = !$("token-form").hidden;
  $("token").focus();
});
on("token-form", "submit", () => {
  const given = $("token").value.trim();
  if (/[^\x21-\x7e]/.test(given)) return askForToken(new Error("A token has no spaces, and no letters beyond ASCII."));
  token.set(given);
  $("token").value = "";
  loadModels();
});
on("model", "change", () => {
  update();
  models.refresh().catch(() => {});
});
on("copy", "click", () =>
  copy($("code").textContent).then(
    () => confirm($("copy"), "Copied"),
    (problem) => confirm($("copy"), problem.message),
  ),
);
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", () => example(button.dataset.example));
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") chat.stop();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    chat.send();
  }
});

chat.connect({ changed: update, needsToken: askForToken });
$("system").value = SYSTEM;
$("schema").value = JSON.stringify(SCHEMA, null, 2);
$("tools").value = JSON.stringify(TOOLS, null, 2);
if (/Mac|iP/.test(navigator.platform)) document.querySelector("kbd").textContent = "⌘ ⏎";
await loadModels();
if ($("token-form").hidden) chat.home();
document.body.dataset.ready = "";
