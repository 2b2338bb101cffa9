// `@langchain/cloudflare`, which sends messages, and no options.

import { ChatCloudflareWorkersAI } from '@langchain/cloudflare';
import { account, address, all, answering, token } from './calls.mjs';

function model({ model, key = token }) {
  const baseUrl = `${address}/client/v4/accounts/${account}/ai/run`;
  const given = { model, cloudflareAccountId: account, cloudflareApiToken: key, baseUrl, maxRetries: 0 };
  return new ChatCloudflareWorkersAI(given);
}

await answering({
  async chat({ content, ...asked }) {
    return { text: (await model(asked).invoke(content)).content };
  },

  async stream({ content, ...asked }) {
    const pieces = await all(await model(asked).stream(content));
    return { pieces: pieces.map((piece) => piece.content).filter(Boolean) };
  },
});
