// `openai`: its chat completions, and its responses.

import OpenAI from 'openai';
import { account, address, all, answering, token } from './calls.mjs';

function client({ key = token }) {
  return new OpenAI({ baseURL: `${address}/client/v4/accounts/${account}/ai/v1`, apiKey: key });
}

function asking({ model, content, messages = [], tools = [], options, schema, tool_choice }) {
  return {
    model,
    messages: [{ role: 'user', content }, ...messages],
    ...(tools.length && { tools: tools.map((one) => ({ type: 'function', function: one })), tool_choice }),
    ...(schema && { response_format: { type: 'json_schema', json_schema: { name: 'document', schema } } }),
    ...options,
  };
}

const callsOf = (calls = []) => calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

async function chat(asked) {
  const { choices: [{ message, finish_reason }], usage } = await client(asked).chat.completions.create(asking(asked));
  return { text: message.content, calls: callsOf(message.tool_calls), finish: finish_reason, tokens: usage.completion_tokens };
}

await answering({
  chat,

  async stream(asked) {
    const request = { ...asking(asked), stream_options: { include_usage: true } };
    const stream = client(asked).chat.completions.stream(request);
    const chunks = await all(stream);
    const { choices: [{ message, finish_reason }], usage } = await stream.finalChatCompletion();
    const pieces = chunks.map(({ choices: [choice] }) => choice?.delta.content).filter(Boolean);
    return { pieces, calls: callsOf(message.tool_calls), finish: finish_reason, tokens: usage.completion_tokens };
  },

  async document(asked) {
    return JSON.parse((await chat(asked)).text);
  },

  async rounds({ forecast, ...asked }) {
    const request = asking(asked);
    const called = [];
    const weather = { ...request.tools[0].function, parse: JSON.parse, function: (given) => (called.push(['weather', given]), forecast) };
    const runner = client(asked).chat.completions.runTools({ ...request, tools: [{ type: 'function', function: weather }] });
    return { text: await runner.finalContent(), calls: called };
  },

  async response({ model, content, schema, tools, ...asked }) {
    const format = schema && { text: { format: { type: 'json_schema', name: 'document', schema } } };
    const functions = tools && { tools: tools.map((one) => ({ type: 'function', strict: false, ...one })) };
    const answer = await client(asked).responses.create({ model, input: content, ...format, ...functions });
    const calls = answer.output.filter(({ type }) => type === 'function_call');
    return { text: answer.output_text, calls: calls.map((call) => [call.name, JSON.parse(call.arguments)]) };
  },

  async models(asked) {
    return (await all(client(asked).models.list())).map(({ id }) => id);
  },
});
