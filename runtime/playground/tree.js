// A JSON value as a tree that opens and closes.

import { h } from "./dom.js";

/** An element that shows any JSON value. */
export function tree(value) {
  return h("div", { class: "tree" }, branch(null, value));
}

function branch(key, value) {
  const name = key === null ? null : h("span", { class: "key" }, `${key}: `);
  if (value === null || typeof value !== "object") return h("div", { class: "leaf" }, name, leaf(value));
  const entries = Object.entries(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const size = h("span", { class: "size" }, `${open}${entries.length || ""}${close}`);
  if (!entries.length) return h("div", { class: "leaf" }, name, size);
  const inner = entries.map(([inside, item]) => branch(inside, item));
  return h("details", { open: true }, h("summary", {}, name, size), ...inner);
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return h("span", { class: kind }, kind === "string" ? `“${value}”` : String(value));
}
