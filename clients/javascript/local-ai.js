// What `env.AI` is in a Worker, against a llamalet server: `const ai = localAI(); await ai.run(model, inputs)`.
// Plain JavaScript without dependencies, for Node, Deno, Bun, Workers, and pages whose origin the server allows.

/** What a run throws, with the name and the message that Cloudflare's binding gives it: "5006: AiError: ...". */
export class InferenceUpstreamError extends Error {
  name = 'InferenceUpstreamError';
}

/**
 * @param {string} baseUrl where `llamalet serve` listens
 * @param {{token?: string, fetch?: typeof fetch}} options `token` is the server's, if it has one
 */
export function localAI(baseUrl = 'http://localhost:8788', { token, fetch = globalThis.fetch } = {}) {
  const root = baseUrl.replace(/\/+$/, '');
  const authorization = token && { authorization: `Bearer ${token}` };

  async function ask(path, { extraHeaders, ...request } = {}) {
    const headers = { ...extraHeaders, ...authorization };
    try {
      return await fetch(`${root}${path}`, { ...request, headers });
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw new InferenceUpstreamError(`No llamalet answers at ${root}. Start it: llamalet serve`, { cause: error });
    }
  }

  return {
    /**
     * The result itself; a ReadableStream of events where `inputs.stream` asks for one; with `returnRawResponse` the
     * Response, whatever its status. Throws `InferenceUpstreamError`.
     */
    async run(model, inputs, options = {}) {
      const { returnRawResponse, queueRequest, extraHeaders, signal, rejectIfBusy, websocket } = options;
      if (websocket) throw new InferenceUpstreamError('llamalet has no websockets. Ask for a stream.');
      const body = JSON.stringify(rejectIfBusy === undefined ? inputs : { ...inputs, options: { rejectIfBusy } });
      const query = queueRequest ? '?queueRequest=true' : '';
      const response = await ask(`/ai/run/${model}${query}`, { method: 'POST', body, extraHeaders, signal });
      if (returnRawResponse) return response.ok && isJson(response) ? bare(response) : response;
      return response.ok && !isJson(response) ? response.body : result(response, model);
    },

    /** The models that the server has: `search`, `task`, `page` and the like say which. */
    async models(params = {}) {
      return result(await ask(`/ai/models/search?${new URLSearchParams(params)}`));
    },
  };
}

const isJson = (response) => response.headers.get('content-type') === 'application/json';

// Of a model that there is not, the service's HTTP API says that there is no such route; its binding has a code for it.
const noRoute = 7000;
const noModel = (model, said) => `5007: No such model ${model} or task. ${said.match(/\((.*)\)/)?.[1] ?? ''}`.trim();

async function result(response, model) {
  const text = await response.text();
  const { success, result: given, errors: [error] = [] } = isJson(response) ? JSON.parse(text) : {};
  if (success) return given;
  if (model && error?.code === noRoute) throw new InferenceUpstreamError(noModel(model, error.message));
  throw new InferenceUpstreamError(error ? `${error.code}: ${error.message}` : `${response.status}: ${text}`);
}

// Over HTTP a result comes in an envelope; to a Worker it comes without.
async function bare(response) {
  const { result: given } = await response.json();
  const headers = new Headers(response.headers);
  headers.delete('content-length');
  return new Response(JSON.stringify(given), { status: response.status, headers });
}
