// Elements, made of text and other elements: nothing here, or anywhere, reads HTML.

export const $ = (id) => document.getElementById(id);

/** One of the choices of that name; which one is chosen; and to choose one. */
export const option = (name, value) => document.querySelector(`input[name="${name}"][value="${value}"]`);
export const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
export const choose = (name, value) => (option(name, value).checked = true);

/** An element with attributes, listeners (`onclick`) and children; children that are null are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Make a textarea as high as its text; the style sheet has the limits. */
export function fit(area) {
  area.style.height = "auto";
  if (area.scrollHeight) area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
}

/** Have the text of a button say for a moment that it was done. */
export function confirm(button, said) {
  const before = (button.dataset.before ??= button.textContent);
  button.textContent = said;
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = setTimeout(() => (button.textContent = before), 1500);
}

/** Put text on the clipboard; pages that did not come over TLS or from this machine have only the old way. */
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch {
      // refused: the old way may still be open
    }
  }
  const area = h("textarea", { class: "hidden", "aria-hidden": "true" });
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser does not let this page copy.");
}
