// A request as a command or a program that needs nothing installed. A token is taken from the environment, never shown.

const TOKEN = "LLAMALET_TOKEN";

export const LANGUAGES = { curl, python, javascript };

function curl(url, body, hasToken) {
  const lines = [`curl ${shell(url)}`];
  if (hasToken) lines.push(`-H "Authorization: Bearer $${TOKEN}"`);
  lines.push(`-H 'Content-Type: application/json'`, `-d ${shell(JSON.stringify(body, null, 2))}`);
  return lines.join(" \\\n  ");
}

function python(url, body, hasToken) {
  const headers = { "Content-Type": '"Content-Type": "application/json"' };
  if (hasToken) headers.Authorization = `"Authorization": f"Bearer {os.environ['${TOKEN}']}"`;
  return `import json
${hasToken ? "import os\n" : ""}import urllib.request

body = ${literal(body)}
headers = {${Object.values(headers).join(", ")}}
request = urllib.request.Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)
with urllib.request.urlopen(request) as reply:
    result = json.load(reply)["result"]
print(result["tool_calls"] or result["response"])`;
}

function javascript(url, body, hasToken) {
  const token = hasToken ? `, Authorization: \`Bearer \${process.env.${TOKEN}}\`` : "";
  return `const body = ${JSON.stringify(body, null, 2)};
const reply = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${token} },
  body: JSON.stringify(body),
});
const { result } = await reply.json();
console.log(result.tool_calls?.length ? result.tool_calls : result.response);`;
}

const shell = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** JSON as Python writes it; its strings are Python's too. */
function literal(value, indent = "") {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const name = (key) => (Array.isArray(value) ? "" : `${JSON.stringify(key)}: `);
  const inner = `${indent}    `;
  const items = Object.entries(value).map(([key, item]) => `${inner}${name(key)}${literal(item, inner)},\n`);
  return items.length ? `${open}\n${items.join("")}${indent}${close}` : open + close;
}
