// Cloudflare's own package for Node. Each line of the input is a call, each line of the output how it went:
// {"model", "params", "stream", "token"} -> {"result" or "lines" or "error", "tries"}. Where the server is, and which
// account and token to use, the environment says, as it would for a user's program.

import Cloudflare from 'cloudflare';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

const account_id = process.env.CLOUDFLARE_ACCOUNT_ID;

async function answer({ model, params, stream, token }) {
  let tries = 0;
  const counted = (...request) => {
    tries += 1;
    return fetch(...request);
  };
  const client = new Cloudflare({ fetch: counted, ...(token && { apiToken: token }) });
  try {
    const running = client.ai.run(model, { account_id, ...params });
    const given = stream ? { lines: await linesOf(await running.asResponse()) } : { result: await running };
    return { ...given, tries };
  } catch (error) {
    const { status, errors = [], constructor: { name } } = error;
    return { error: { name, status, codes: errors.map((one) => one.code), message: error.message }, tries };
  }
}

async function linesOf(response) {
  const lines = [];
  for await (const line of createInterface({ input: Readable.fromWeb(response.body) })) {
    lines.push(line);
  }
  return lines;
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line))));
}
