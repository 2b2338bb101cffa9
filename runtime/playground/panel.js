// The line beside the button, and the settings, which a narrow screen shows in place of the conversation.

import { $ } from "./dom.js";

/** Say something to who sends, and bring them to the field that it is about. */
export function say(text, field = null) {
  $("status").textContent = text;
  if (field && !field.offsetParent) openSettings(true);
  field?.focus();
}

export function openSettings(open) {
  document.body.classList.toggle("settings-open", open);
  $("open-settings").setAttribute("aria-expanded", String(open));
  $("open-settings").textContent = open ? "Back" : "Settings";
}
