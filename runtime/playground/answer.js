// One answer on the page, from its first token to its numbers.

import { h } from "./dom.js";
import { tree } from "./tree.js";

export class Answer {
  content = "";
  calls = []; // {id, name, arguments}, whole
  parsed = undefined;
  finish = null;
  failed = false;
  #deltas = [];
  #begun = performance.now();
  #first = null;

  constructor() {
    const live = { role: "log", "aria-live": "polite", "aria-busy": "true", "aria-label": "Answer" };
    this.text = h("div", { class: "text", ...live });
    this.parts = h("div", { class: "parts" });
    this.note = h("p", { class: "stats" }, "Waiting for the first token");
    this.element = h("div", { class: "answer running" }, this.text, this.parts, this.note);
  }

  /** Show what events of the stream bring. */
  take(events) {
    if (events.some((event) => event.response || event.tool_calls)) this.#begin();
    const text = events.map((event) => event.response ?? "").join("");
    this.content += text;
    if (text) this.text.append(text);
    const last = events.at(-1);
    const deltas = events.flatMap((event) => (event.finish_reason ? [] : (event.tool_calls ?? [])));
    if (last.finish_reason) this.#end(last);
    else if (deltas.length) this.#grow(deltas);
  }

  /** It was stopped here. The server cancels what nobody listens to. */
  stopped() {
    this.#end({ finish_reason: "cancelled" });
  }

  fail(problem) {
    this.failed = true;
    this.#settle();
    const { code, status } = problem;
    const small = status ? h("p", { class: "stats" }, `${code ? `code ${code} · ` : ""}status ${status}`) : null;
    this.note.replaceWith(h("div", { class: "error", role: "alert" }, h("p", {}, problem.message), small));
  }

  /** As a message of the next request. */
  wire() {
    const message = { role: "assistant", content: this.content };
    const calls = this.calls.map(({ id, name, arguments: given }) => ({
      id,
      type: "function",
      function: { name, arguments: JSON.stringify(given) },
    }));
    return calls.length ? { ...message, tool_calls: calls } : message;
  }

  #begin() {
    if (this.#first !== null) return;
    this.#first = performance.now() - this.#begun;
    this.note.textContent = "Writing";
  }

  /** Calls come in pieces first, and whole in the last event. */
  #grow(deltas) {
    for (const { index, function: { name, arguments: given } } of deltas) {
      const call = (this.#deltas[index] ??= { name: "", text: "" });
      call.name += name ?? "";
      call.text += given ?? "";
    }
    this.parts.replaceChildren(...this.#deltas.map(({ name, text }) => callCard(name, h("code", {}, text))));
  }

  #end(event) {
    this.finish = event.finish_reason;
    this.parsed = event.parsed;
    this.calls = (event.tool_calls ?? []).map(({ id, name, arguments: given }) => ({ id, name, arguments: given }));
    this.#settle();
    this.parts.replaceChildren(...this.calls.map((call) => callCard(call.name, tree(call.arguments))));
    if (event.parsed !== undefined && this.finish !== "cancelled") this.#show(event.parsed);
    this.note.replaceChildren(...numbers(event, this.#first));
  }

  #settle() {
    this.element.classList.remove("running");
    this.text.setAttribute("aria-busy", "false");
  }

  /** A document as a tree, with its text a press away. */
  #show(value) {
    const shown = tree(value);
    const flip = () => {
      this.text.hidden = !(shown.hidden = !shown.hidden);
      button.textContent = shown.hidden ? "Show the tree" : "Show the text";
    };
    const button = h("button", { type: "button", class: "link", onclick: flip }, "Show the text");
    this.text.hidden = true;
    this.parts.append(h("div", { class: "document" }, h("p", { class: "valid" }, "A valid document ", button), shown));
  }
}

const callCard = (name, inside) => h("div", { class: "call" }, h("p", {}, "Calls ", h("strong", {}, name)), inside);

const REASONS = {
  length: "cut off at max tokens",
  cancelled: "stopped",
};

/** What it took: tokens, speed, and time to the first. */
function numbers({ usage, timings, finish_reason: reason }, first) {
  const rate = timings?.decode_tokens_per_second;
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  const said = [
    usage && ["tokens", `${usage.completion_tokens} token${usage.completion_tokens === 1 ? "" : "s"}`],
    rate && ["rate", `${rate.toFixed(1)} tokens/s`],
    first !== null && ["first", `first after ${(first / 1000).toFixed(2)} s`],
    usage && ["prompt", `${usage.prompt_tokens} prompt tokens${cached ? `, ${cached} cached` : ""}`],
    REASONS[reason] && ["reason", REASONS[reason], reason],
  ];
  const show = ([name, text, value = ""]) => h("span", { "data-name": name, "data-value": value }, text);
  return said.filter(Boolean).map(show);
}
