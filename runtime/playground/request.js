// The form of settings -> the body of a request.

import { $, chosen } from "./dom.js";

const NUMBERS = [
  "temperature",
  "max_tokens",
  "top_p",
  "top_k",
  "seed",
  "repetition_penalty",
  "frequency_penalty",
  "presence_penalty",
];

/** What is typed cannot be sent; `field` is where. */
export class Unready extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

/** All of a body but its prompt or messages. Throws `Unready`. */
export function options() {
  return { ...(chosen("input") === "raw" ? { raw: true } : {}), ...form(), ...numbers() };
}

function form() {
  if (chosen("answer") === "json") return { response_format: format() };
  if (chosen("answer") === "text") return {};
  const tools = parsed("tools", "The tools");
  if (!Array.isArray(tools)) throw new Unready("The tools must be an array of definitions.", $("tools"));
  return { tools, tool_choice: $("tool_choice").value };
}

function format() {
  if (!$("schema").value.trim()) return { type: "json_object" };
  return { type: "json_schema", json_schema: parsed("schema", "The schema") };
}

/** Those that are set. The server judges them, and says what it takes. */
function numbers() {
  const given = NUMBERS.map((name) => [name, $(name).valueAsNumber]);
  const bad = NUMBERS.find((name) => $(name).validity.badInput);
  if (bad) throw new Unready(`${bad} is no number.`, $(bad));
  return Object.fromEntries(given.filter(([, value]) => !Number.isNaN(value)));
}

/** The JSON in an editor. */
export function parsed(id, what) {
  try {
    return JSON.parse($(id).value);
  } catch (problem) {
    throw new Unready(`${what} cannot be read as JSON: ${problem.message}`, $(id));
  }
}
