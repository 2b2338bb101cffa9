// Our `localAI`.

import { localAI } from '../../clients/javascript/local-ai.js';
import { address, all, answering, token } from './calls.mjs';

const ai = ({ key = token, at = address }) => localAI(at, { token: key });

function asking({ content, tools, options, schema, tool_choice }) {
  const format = schema && { response_format: { type: 'json_schema', json_schema: schema } };
  return { messages: [{ role: 'user', content }], tools, tool_choice, ...format, ...options };
}

const callsOf = (calls = []) => calls.map((call) => [call.name, call.arguments]);

async function chat(asked) {
  const { response, tool_calls, finish_reason, usage } = await ai(asked).run(asked.model, asking(asked));
  return { text: response, calls: callsOf(tool_calls), finish: finish_reason, tokens: usage.completion_tokens };
}

async function events(stream) {
  const lines = (await new Response(stream).text()).split('\n').filter(Boolean);
  if (lines.pop() !== 'data: [DONE]') throw new Error('The stream does not end with [DONE].');
  return lines.map((line) => JSON.parse(line.slice('data: '.length)));
}

await answering({
  chat,

  async stream(asked) {
    const given = await events(await ai(asked).run(asked.model, { ...asking(asked), stream: true }));
    const { tool_calls, finish_reason, usage } = given.at(-1);
    const pieces = given.map(({ response }) => response).filter(Boolean);
    return { pieces, calls: callsOf(tool_calls), finish: finish_reason, tokens: usage.completion_tokens };
  },

  async document(asked) {
    return (await chat(asked)).text;
  },

  async raw(asked) {
    const response = await ai(asked).run(asked.model, asking(asked), { returnRawResponse: true });
    return { status: response.status, type: response.headers.get('content-type'), body: await response.json() };
  },

  async aborted(asked) {
    return ai(asked).run(asked.model, asking(asked), { signal: AbortSignal.abort() });
  },

  async batch({ model, requests }) {
    const { request_id } = await ai({}).run(model, { requests }, { queueRequest: true });
    for (;;) {
      const { responses } = await ai({}).run(model, { request_id });
      if (responses) return responses.map(({ result }) => result.response);
      await new Promise((resume) => setTimeout(resume, 20));
    }
  },

  async proxied({ model, status, text }) {
    return localAI(address, { fetch: async () => new Response(text, { status }) }).run(model, {});
  },

  async models(asked) {
    return (await ai(asked).models(asked.params)).map(({ name }) => name);
  },
});
