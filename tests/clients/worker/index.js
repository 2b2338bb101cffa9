// A Worker as somebody has it: it knows `env.AI`, and nothing of llamalet. The path says what to do, the body with what.

const does = {
  async run({ model, inputs, options }, env) {
    return Response.json(await env.AI.run(model, inputs, options));
  },
  async stream({ model, inputs }, env) {
    const stream = await env.AI.run(model, { ...inputs, stream: true });
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  },
  async raw({ model, inputs }, env) {
    const response = await env.AI.run(model, inputs, { returnRawResponse: true });
    return Response.json({ status: response.status, type: response.headers.get('content-type'), body: await response.json() });
  },
  async left({ model, inputs }, env) {
    const reader = (await env.AI.run(model, { ...inputs, stream: true })).getReader();
    const { value } = await reader.read();
    await reader.cancel();
    return new Response(value);
  },
  async aborted({ model, inputs }, env) {
    const controller = new AbortController();
    const { signal } = controller;
    const stream = await env.AI.run(model, { ...inputs, stream: true }, { signal });
    await stream.getReader().read();
    controller.abort();
    return new Response();
  },
  async models(params, env) {
    return Response.json(await env.AI.models(params));
  },
};

export default {
  async fetch(request, env) {
    const what = new URL(request.url).pathname.slice(1);
    try {
      return await does[what](await request.json(), env);
    } catch (error) {
      const { name, message } = error;
      return Response.json({ name, message, isError: error instanceof Error }, { status: 500 });
    }
  },
};
