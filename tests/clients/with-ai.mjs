// `ai` with `workers-ai-provider`, which has no option for the address, but one for `fetch`.

import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { createWorkersAI } from 'workers-ai-provider';
import { localAI } from '../../clients/javascript/local-ai.js';
import { account, address, all, answering, token } from './calls.mjs';

const host = 'https://api.cloudflare.com';
const here = (url, request) => fetch(String(url).replace(host, address), request);

function asking({ model, content, tools = [], options = {}, key = token, schema, tool_choice, bound }) {
  const rest = { accountId: account, apiKey: key, fetch: here };
  const workersai = createWorkersAI(bound ? { binding: localAI(address, { token }) } : rest);
  const given = tools.map(({ name, description, parameters }) => {
    return [name, tool({ description, inputSchema: jsonSchema(parameters) })];
  });
  return {
    model: workersai(model),
    prompt: content,
    ...(tools.length && { tools: Object.fromEntries(given), toolChoice: tool_choice }),
    ...(schema && { output: Output.object({ schema: jsonSchema(schema) }) }),
    maxOutputTokens: options.max_tokens,
    temperature: options.temperature,
    maxRetries: 0,
  };
}

const callsOf = (toolCalls) => toolCalls.map(({ toolName, input }) => [toolName, input]);

await answering({
  async chat(asked) {
    const { text, toolCalls, finishReason, usage } = await generateText(asking(asked));
    return { text, calls: callsOf(toolCalls), finish: finishReason, tokens: usage.outputTokens };
  },

  async stream(asked) {
    let failed;
    const answer = streamText({ ...asking(asked), onError: ({ error }) => (failed = error) });
    const pieces = await all(answer.textStream);
    if (failed) throw failed;
    const { outputTokens } = await answer.usage;
    return { pieces, calls: callsOf(await answer.toolCalls), finish: await answer.finishReason, tokens: outputTokens };
  },

  async document(asked) {
    return (await generateText(asking(asked))).output;
  },

  async rounds({ forecast, ...asked }) {
    const request = asking(asked);
    request.tools.weather.execute = () => forecast;
    const { text, steps } = await generateText({ ...request, stopWhen: stepCountIs(3) });
    return { text, calls: callsOf(steps[0].toolCalls) };
  },
});
