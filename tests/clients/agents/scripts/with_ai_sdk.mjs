// Vercel's AI SDK: what its agent hands to the model.
let createMCPClient, Transport;
export async function load(from) {
  ({ createMCPClient } = await from("@ai-sdk/mcp/dist/index.js"));
  ({ Experimental_StdioMCPTransport: Transport } = await from("@ai-sdk/mcp/dist/mcp-stdio/index.js"));
}

const clientOf = (target) =>
  createMCPClient({
    transport:
      typeof target === "string"
        ? { type: "http", url: target }
        : new Transport({ command: target[0], args: target.slice(1), env: process.env }),
  });

export async function connect(target, onProgress) {
  const client = await clientOf(target);
  const tools = await client.tools();
  const call = async (name, given) => {
    const output = await tools[name].execute(given, { toolCallId: "1", messages: [] });
    const shown = await tools[name].toModelOutput({ toolCallId: "1", input: given, output });
    const items = shown.type === "content" ? shown.value : [];
    const texts = items.filter((item) => item.type === "text").map((item) => item.text);
    const text = shown.type === "content" ? texts.join("") : JSON.stringify(shown.value);
    return { text, image: items.some((item) => item.type !== "text"), type: shown.type };
  };
  return { tools: Object.keys(tools), call, close: () => client.close() };
}

// Six connections at once: it waits one second for the first answer.
export async function extra({ stdio }) {
  const outcomes = await Promise.allSettled(Array.from({ length: 6 }, () => clientOf(stdio)));
  const clients = outcomes.filter((one) => one.status === "fulfilled").map((one) => one.value);
  await Promise.all(clients.map((client) => client.close()));
  const failures = outcomes.filter((one) => one.status === "rejected").map((one) => String(one.reason));
  return { connected: clients.length, failures };
}
