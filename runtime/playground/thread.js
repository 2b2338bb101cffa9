// A conversation: its messages as cards that are edited and removed, and as the next request has them.

import { $, fit, h } from "./dom.js";

const LABELS = { user: "User", assistant: "Assistant", tool: "Tool" };

export class Thread {
  #messages = [];

  /** `changed` is called after every change of what is sent; `again` when the last answer is wanted anew. */
  constructor(list, changed, again) {
    Object.assign(this, { list, changed, again });
  }

  get isEmpty() {
    return !this.#messages.length;
  }

  /** Whether there is something for the model to answer. */
  get isOpen() {
    return this.#messages.length > 0 && !this.#messages.at(-1).answer;
  }

  /** Every message for a request; without the answers at its end, when they are to be given again. */
  wire({ again = false } = {}) {
    const messages = this.#messages.filter((message) => !message.answer?.failed);
    while (again && messages.at(-1)?.answer) messages.pop();
    return messages.map((message) => message.wire());
  }

  /** A message that somebody wrote. */
  add(role, text) {
    const area = editor(text, `${LABELS[role]} message`, this.changed);
    this.#put({ role, wire: () => ({ role, content: area.value }) }, area);
    fit(area);
  }

  /** What the tools give for each call of an answer is to be typed in; the first has the focus. */
  addResults(answer) {
    const [first] = answer.calls.map((call) => this.#addResult(answer, call));
    first?.focus();
  }

  #addResult(answer, { id, name }) {
    const area = editor("", `Result of ${name}`, this.changed);
    area.placeholder = `What ${name} gives back: text or JSON`;
    area.classList.add("code");
    const wire = () => ({ role: "tool", tool_call_id: id, name, content: result(area.value) });
    this.#put({ role: "tool", of: answer, wire }, area, name);
    fit(area);
    return area;
  }

  /** An answer, which may still be on its way. */
  addAnswer(answer) {
    const again = link("again", "Again", () => this.again());
    const edit = link("edit", "Edit", () => this.#edit(answer, edit));
    this.#put({ role: "assistant", answer, wire: () => answer.wire() }, answer.element, "", again, edit);
  }

  dropFailed() {
    for (const message of this.#messages.filter((one) => one.answer?.failed)) this.#take(message);
  }

  dropAnswers() {
    while (this.#messages.at(-1)?.answer) this.#take(this.#messages.at(-1));
  }

  clear() {
    this.#messages = [];
    this.list.replaceChildren();
    this.changed();
  }

  #put(message, inside, name = "", ...actions) {
    const remove = link("remove", "Remove", () => this.#remove(message));
    remove.setAttribute("aria-label", `Remove this ${LABELS[message.role].toLowerCase()} message`);
    const label = h("span", { class: "role" }, LABELS[message.role], name ? h("code", {}, name) : null);
    const head = h("div", { class: "head" }, label, h("span", { class: "actions" }, ...actions, remove));
    message.card = h("li", { class: `message ${message.role}` }, head, inside);
    this.#messages.push(message);
    this.list.append(message.card);
    this.changed();
  }

  /** An answer goes with the results of its calls. */
  #remove(message) {
    message.answer?.abandon?.();
    const results = this.#messages.filter((other) => message.answer && other.of === message.answer);
    for (const one of results) this.#take(one);
    this.#take(message);
    $("composed").focus();
  }

  #take(message) {
    this.#messages.splice(this.#messages.indexOf(message), 1);
    message.card.remove();
    this.changed();
  }

  /** Put an editor in the place of an answer's text; its calls stay. */
  #edit(answer, button) {
    const area = editor(answer.content, "Assistant message", () => {
      answer.content = area.value;
      this.changed();
    });
    answer.text.replaceWith(area);
    answer.parts.querySelector(".document")?.remove();
    button.remove();
    fit(area);
    area.focus();
  }
}

const link = (kind, text, onclick) => h("button", { type: "button", class: `link ${kind}`, onclick }, text);

function editor(text, label, changed) {
  const area = h("textarea", { rows: "1", "aria-label": label });
  area.value = text;
  area.addEventListener("input", () => {
    fit(area);
    changed();
  });
  return area;
}

/** Objects and arrays go as they are: models are shown those as JSON, and all else as text. */
function result(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? value : text;
  } catch {
    return text;
  }
}
