// The token that the server may ask for: in this tab's storage, and nowhere else.

const KEY = "token";
let held = null; // where storage is off

export function get() {
  try {
    return sessionStorage.getItem(KEY) ?? held;
  } catch {
    return held;
  }
}

export function set(value) {
  held = value || null;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // held until the page is left
  }
}
