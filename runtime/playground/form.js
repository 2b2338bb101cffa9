// The form of settings: what belongs to its choices, and the request that it makes, as code.

import * as api from "./api.js";
import * as chat from "./chat.js";
import { LANGUAGES } from "./code.js";
import { $, choose, chosen, fit, option } from "./dom.js";
import * as models from "./models.js";
import { QUESTIONS } from "./examples.js";
import { parsed } from "./request.js";
import * as token from "./token.js";

const LABELS = { chat: "Message", prompt: "Prompt", raw: "Prompt, as the model reads it" };
const NOTES = {
  chat: "",
  prompt: "One text, put into the chat format as a user’s message. Results of tools can be given in Chat.",
  raw: "The text goes to the model as it is, without a chat format. Tools cannot be shown in it.",
};

/** Show what belongs to the choices, and the request as code. */
export function update() {
  const input = chosen("input");
  option("answer", "tools").disabled = input === "raw";
  if (input === "raw" && chosen("answer") === "tools") choose("answer", "text");
  $("system-card").hidden = $("chat").hidden = $("adding").hidden = input !== "chat";
  $("single").hidden = input === "chat";
  $("welcome").hidden = input !== "chat" || !chat.isEmpty();
  $("composer-label").textContent = LABELS[input];
  $("composed").placeholder = input === "chat" ? "Write a message" : LABELS[input];
  $("input-note").textContent = NOTES[input];
  $("json-part").hidden = chosen("answer") !== "json";
  $("tools-part").hidden = chosen("answer") !== "tools";
  check("schema", "The schema", "Left empty, any JSON object.");
  check("tools", "The tools", "");
  for (const area of document.querySelectorAll("#system, #composed")) fit(area);
  showCode();
}

/** Say below an editor whether its JSON can be read. */
function check(id, what, note) {
  let problem = "";
  try {
    if ($(id).value.trim()) parsed(id, what);
  } catch (wrong) {
    problem = wrong.message;
  }
  $(id).setAttribute("aria-invalid", String(Boolean(problem)));
  $(`${id}-note`).textContent = problem || note;
}

function showCode() {
  const url = api.runAddress(models.current() || "1b");
  const isBegun = chat.isChat() && !chat.isEmpty();
  const written = $("composed").value || (isBegun ? "" : QUESTIONS.text);
  $("copy").disabled = false;
  try {
    $("code").textContent = LANGUAGES[chosen("language")](url, chat.body(written), Boolean(token.get()));
  } catch (problem) {
    $("code").textContent = problem.message;
    $("copy").disabled = true;
  }
}
