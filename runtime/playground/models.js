// The picker: which models there are, whose file is here, and which are in memory.

import * as api from "./api.js";
import { $, h } from "./dom.js";

let known = [];

export const current = () => $("model").value;

/** Ask for the catalogue and fill the picker. Throws what the server refuses it with. */
export async function load() {
  const before = current();
  const [listed, files] = await Promise.all([api.models(), api.files()]);
  known = listed.map(({ name, description }) => ({ name, description, ...files[name] }));
  const here = known.filter((model) => model.quants.length);
  const missing = known.filter((model) => !model.quants.length);
  $("model").replaceChildren(...group("On this machine", here), ...group("Not fetched yet", missing));
  const same = known.find((model) => model.name === before);
  const demo = known.find((model) => short(model) === "demo");
  const first = same ?? demo ?? here[0] ?? known[0];
  if (first) $("model").value = first.name;
  await refresh();
}

/** Say of the model that is picked where it is. */
export async function refresh() {
  const model = known.find((one) => one.name === current());
  if (!model) return;
  const inMemory = (await api.loaded()).find((one) => [model.name, ...model.names].includes(one.name));
  const state = inMemory ? "memory" : model.quants.length ? "here" : "missing";
  $("model-state").dataset.state = state;
  $("model-state").textContent = {
    memory: () => `In memory, ${size(inMemory.memory)}`,
    here: () => `On disk: ${model.quants.join(", ")}`,
    missing: () => "Not fetched yet",
  }[state]();
}

const short = (model) => model.name.split("/").at(-1);
const group = (label, models) => (models.length ? [h("optgroup", { label }, ...models.map(option))] : []);
const option = (model) => h("option", { value: model.name, title: model.description }, short(model));
const size = (bytes) =>
  bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`;
