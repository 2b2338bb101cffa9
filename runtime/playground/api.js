// What the server is asked: the catalogue, what is in memory, and answers as they come.

import * as token from "./token.js";

export const NEEDS_TOKEN = [9106, 10000]; // codes of Cloudflare's gateway: there is none, and it is not the right one

/** What the server, or the way to it, says went wrong. */
export class Refusal extends Error {
  constructor(message, { code = null, status = null } = {}) {
    super(message);
    Object.assign(this, { code, status });
  }
}

const address = (path) => new URL(path, document.baseURI);

/** Where a model is asked. Slashes and @ stand in a name as they do in Cloudflare's own examples. */
export function runAddress(model) {
  const name = encodeURIComponent(model).replaceAll("%2F", "/").replaceAll("%40", "@");
  return address(`ai/run/${name}`).href;
}

/** Every model of the catalogue. */
export async function models() {
  const found = [];
  for (let page = 1; ; page += 1) {
    const { result } = await json(await ask(`ai/models/search?per_page=50&page=${page}`));
    found.push(...result);
    if (result.length < 50) return found;
  }
}

/** By name of a model: its other names, and the quants whose file is here. */
export const files = async () => (await json(await ask("playground/files"))).files;

/** What is in memory. */
export const loaded = async () => (await json(await ask("loaded"))).loaded;

/** The events of an answer. Throws a `Refusal`, also where the answer breaks off. */
export async function* run(model, body, signal) {
  const sent = JSON.stringify({ ...body, stream: true });
  const reply = await ask(runAddress(model), { method: "POST", body: sent, signal });
  if (!reply.headers.get("content-type")?.startsWith("text/event-stream")) await json(reply);
  for await (const line of lines(reply.body)) {
    if (!line.startsWith("data: ")) continue;
    if (line === "data: [DONE]") return;
    const event = JSON.parse(line.slice(6));
    if (event.errors?.length) throw refusal(event, reply.status);
    yield event;
  }
  throw new Refusal("The connection ended before the answer did.");
}

async function ask(path, options = {}) {
  const headers = { "content-type": "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  try {
    return await fetch(address(path), { headers, ...options });
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Refusal("The server does not answer. Is llamalet serve still running?");
  }
}

async function json(reply) {
  const body = await reply.json().catch(() => ({}));
  if (reply.ok) return body;
  throw refusal(body, reply.status);
}

/** The message without what the service puts around it; it ends with what to do. */
function refusal(body, status) {
  const error = body.errors?.[0];
  if (!error) return new Refusal(`The server answered with status ${status}.`, { status });
  const [before, after] = [/^AiError: (Bad input: Error: |No such model: )?/, / \([0-9a-f-]{36}\)$/];
  return new Refusal(error.message.replace(before, "").replace(after, ""), { code: error.code, status });
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
}
