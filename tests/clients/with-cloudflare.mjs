// `cloudflare` for Node. Where the server is, and which account and token to use, the environment says, as it would for
// a user's program.

import Cloudflare from 'cloudflare';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { account as account_id, all, answering, token } from './calls.mjs';

async function run({ model, params, stream, key = token }) {
  let tries = 0;
  const counted = (...request) => {
    tries += 1;
    return fetch(...request);
  };
  const client = new Cloudflare({ fetch: counted, apiToken: key });
  try {
    const running = client.ai.run(model, { account_id, ...params });
    const given = stream ? { lines: await linesOf(await running.asResponse()) } : { result: await running };
    return { ...given, tries };
  } catch (error) {
    const { status, errors = [], constructor: { name } } = error;
    return { error: name, status, codes: errors.map((one) => one.code), message: error.message, tries };
  }
}

const linesOf = (response) => all(createInterface({ input: Readable.fromWeb(response.body) }));

async function answer({ model, content, tools, tool_choice, schema }) {
  const params = { messages: [{ role: 'user', content }], tools, tool_choice };
  if (schema) params.response_format = { type: 'json_schema', json_schema: schema };
  return new Cloudflare().ai.run(model, { account_id, ...params });
}

await answering({
  run,

  async chat(asked) {
    const { response, tool_calls = [] } = await answer(asked);
    return { text: response, calls: tool_calls.map((call) => [call.name, call.arguments]) };
  },

  async document(asked) {
    return (await answer(asked)).response;
  },

  async models() {
    return (await all(new Cloudflare().ai.models.list({ account_id }))).map(({ name }) => name);
  },

  async schema({ model }) {
    return new Cloudflare().ai.models.schema.get({ account_id, model });
  },
});
