// `@cloudflare/ai-utils`, with our `localAI` in the place of the binding.

import { runWithTools } from '@cloudflare/ai-utils';
import { localAI } from '../../clients/javascript/local-ai.js';
import { address, answering, token } from './calls.mjs';

await answering({
  async rounds({ model, content, tools, forecast, key = token }) {
    const called = [];
    const weather = { ...tools[0], function: async (given) => (called.push(['weather', given]), forecast) };
    const inputs = { messages: [{ role: 'user', content }], tools: [weather] };
    const answer = await runWithTools(localAI(address, { token: key }), model, inputs);
    return { text: answer.response, calls: called };
  },
});
