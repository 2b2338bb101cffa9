// What is said: sent, stopped, added, and shown as it comes.

import { Answer } from "./answer.js";
import * as api from "./api.js";
import { $, chosen, fit } from "./dom.js";
import * as models from "./models.js";
import { say } from "./panel.js";
import { Unready, options } from "./request.js";
import { Thread } from "./thread.js";

// Who is told that what would be sent has changed, and that a token is needed.
const told = { changed: () => {}, needsToken: () => {} };
const changed = () => told.changed();
const threads = { chat: new Thread($("chat"), changed, again), single: new Thread($("single"), changed, again) };
let running = null; // an AbortController while an answer is on its way

export const isChat = () => chosen("input") === "chat";
export const isEmpty = () => threads.chat.isEmpty;
const thread = () => (isChat() ? threads.chat : threads.single);

export function connect(callbacks) {
  Object.assign(told, callbacks);
}

/** Begin anew. */
export function clear() {
  stop();
  threads.chat.clear();
  $("composed").focus();
}

/** What is sent now, or would be: `written` stands for what is in the composer. Throws `Unready`. */
export function body(written) {
  if (!isChat()) return { prompt: written, ...options() };
  const system = $("system").value.trim() ? [{ role: "system", content: $("system").value }] : [];
  const asked = written ? [{ role: "user", content: written }] : [];
  return { messages: [...system, ...threads.chat.wire({ again: !written }), ...asked], ...options() };
}

export async function send(written = $("composed").value) {
  if (running) return;
  if (!written && !(isChat() && thread().isOpen)) return say("Write a message first.", $("composed"));
  if (!models.current()) return say("There is no model to ask.", $("model"));
  let request;
  try {
    thread().dropFailed();
    request = body(written);
  } catch (problem) {
    if (!(problem instanceof Unready)) throw problem;
    return say(problem.message, problem.field);
  }
  if (isChat() && written) {
    thread().add("user", written);
    $("composed").value = "";
  } else if (!isChat()) {
    thread().clear();
  }
  await run(thread(), request);
}

/** Have the last answer given anew. */
function again() {
  if (running) return;
  if (!isChat()) return send();
  threads.chat.dropAnswers();
  send("");
}

async function run(into, request) {
  const answer = new Answer();
  const control = new AbortController();
  answer.abandon = () => control.abort();
  into.addAnswer(answer);
  $("scroll").scrollTop = $("scroll").scrollHeight;
  busy(control);
  const shown = framed((events) => follow(() => answer.take(events)));
  try {
    for await (const event of api.run(models.current(), request, control.signal)) shown.add(event);
    shown.flush();
  } catch (problem) {
    shown.flush();
    follow(() => (control.signal.aborted ? answer.stopped() : failed(answer, problem)));
  }
  busy(null);
  if (into === threads.chat) follow(() => into.addResults(answer));
  told.changed();
  models.refresh().catch(() => {}); // the next answer tells, if the server is gone
}

function failed(answer, problem) {
  answer.fail(problem);
  if (api.NEEDS_TOKEN.includes(problem.code)) told.needsToken(problem);
}

export function stop() {
  running?.abort();
}

/** Send becomes Stop and back; who has pressed one keeps the focus. */
function busy(control) {
  running = control;
  const had = [$("send"), $("stop")].includes(document.activeElement);
  $("send").hidden = Boolean(control);
  $("stop").hidden = !control;
  if (had && control) $("stop").focus();
  else if (had) home();
  say("");
}

/** Where the next thing is written; on a touch screen that would bring up its keyboard unasked. */
export function home() {
  $(matchMedia("(pointer: coarse)").matches ? "send" : "composed").focus();
}

/** Hand events on once a frame: to lay the page out after every token of a fast model takes longer than the model. */
function framed(take) {
  let waiting = [];
  let frame = 0;
  const flush = () => {
    cancelAnimationFrame(frame);
    const events = waiting;
    [waiting, frame] = [[], 0];
    if (events.length) take(events);
  };
  return { add: (event) => (waiting.push(event), (frame ||= requestAnimationFrame(flush))), flush };
}

/** Do what makes the conversation longer; who sees its end goes on to see it. */
function follow(work) {
  const scroll = $("scroll");
  const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  work();
  if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
}

export function add(role) {
  if (!$("composed").value) return say("Write a message first.", $("composed"));
  follow(() => threads.chat.add(role, $("composed").value));
  $("composed").value = "";
  fit($("composed"));
  say("", $("composed"));
}
