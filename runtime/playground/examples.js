// What the page begins with, and what its three examples fill in.

export const SYSTEM = "You are a friendly assistant.";

export const SCHEMA = {
  type: "object",
  properties: {
    rivers: {
      type: "array",
      items: {
        type: "object",
        properties: { name: { type: "string", maxLength: 30 }, length_km: { type: "integer", minimum: 0 } },
        required: ["name", "length_km"],
      },
      minItems: 3,
      maxItems: 3,
    },
  },
  required: ["rivers"],
};

export const TOOLS = [
  {
    name: "weather",
    description: "The weather of the next days.",
    parameters: {
      type: "object",
      properties: {
        city: { type: "string", description: "Name of the city" },
        days: { type: "integer", description: "How many days" },
      },
      required: ["city"],
    },
  },
];

export const QUESTIONS = {
  text: "Why is the sky blue?",
  json: "Name three rivers of Europe, with their lengths.",
  tools: "Will it rain in Rome tomorrow?",
};
