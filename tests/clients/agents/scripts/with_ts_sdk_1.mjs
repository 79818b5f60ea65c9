// The TypeScript SDK, @modelcontextprotocol/sdk v1: the protocol's older era alone.
let Client, Stdio, Http;
export async function load(from) {
  const sdk = "@modelcontextprotocol/sdk/dist/esm/client";
  ({ Client } = await from(`${sdk}/index.js`));
  ({ StdioClientTransport: Stdio } = await from(`${sdk}/stdio.js`));
  ({ StreamableHTTPClientTransport: Http } = await from(`${sdk}/streamableHttp.js`));
}

export async function connect(target, onProgress) {
  const client = new Client({ name: "test", version: "1" });
  const transport =
    typeof target === "string" ? new Http(new URL(target)) : new Stdio({ command: target[0], args: target.slice(1) });
  await client.connect(transport);
  const call = async (name, given) => {
    const options = { onprogress: ({ message }) => onProgress(message) };
    const { content, isError } = await client.callTool({ name, arguments: given }, undefined, options);
    const texts = content.filter((block) => block.type === "text").map((block) => block.text);
    return { text: texts.join(""), image: content.some((block) => block.type === "image"), isError };
  };
  const { tools } = await client.listTools();
  return { tools: tools.map((tool) => tool.name), call, close: () => client.close() };
}
