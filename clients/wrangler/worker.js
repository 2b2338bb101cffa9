// A Worker that others have as their `env.AI` under `wrangler dev`: it asks the llamalet server on this machine.

import { WorkerEntrypoint } from 'cloudflare:workers';
import { localAI } from '../javascript/local-ai.js';

export class AI extends WorkerEntrypoint {
  run(model, inputs, options) {
    return this.#ai().run(model, inputs, options);
  }

  models(params) {
    return this.#ai().models(params);
  }

  #ai() {
    return localAI(this.env.LLAMALET_URL, { token: this.env.LLAMALET_TOKEN });
  }
}

export default {
  fetch: () => new Response('This Worker is for service bindings: its entrypoint AI has run() and models().\n'),
};
