// How a program here is asked. Each line of its input is {"call": name, ...}, each line of its output {"result"} or {"error"}.

import { createInterface } from 'node:readline';

console.log = console.error; // some packages talk

export async function answering(calls) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { call, ...asked } = JSON.parse(line);
    process.stdout.write(`${JSON.stringify(await outcome(calls[call], asked))}\n`);
  }
}

async function outcome(call, asked) {
  try {
    return { result: await call(asked) };
  } catch (error) {
    const { name, status, statusCode, response, message } = error;
    return { error: { name, status: status ?? statusCode ?? response?.status ?? 0, message } };
  }
}

export async function all(iterable) {
  const items = [];
  for await (const item of iterable) items.push(item);
  return items;
}

export const address = process.env.SERVER;
export const account = process.env.CLOUDFLARE_ACCOUNT_ID;
export const token = process.env.CLOUDFLARE_API_TOKEN;
