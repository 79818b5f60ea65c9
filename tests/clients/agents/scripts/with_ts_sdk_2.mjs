// The TypeScript SDK's client, v2: the protocol of 2026-07-28 where it may, else the older one.
let Client, Stdio, Http;
export async function load(from) {
  const dist = "@modelcontextprotocol/client/dist";
  ({ Client, StreamableHTTPClientTransport: Http } = await from(`${dist}/index.mjs`));
  ({ StdioClientTransport: Stdio } = await from(`${dist}/stdio.mjs`));
}

export async function connectIn(mode, target, onProgress) {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const transport =
    typeof target === "string" ? new Http(new URL(target)) : new Stdio({ command: target[0], args: target.slice(1) });
  await client.connect(transport);
  const call = async (name, given) => {
    const options = { onprogress: ({ message }) => onProgress(message) };
    const { content, isError } = await client.callTool({ name, arguments: given }, options);
    const texts = content.filter((block) => block.type === "text").map((block) => block.text);
    return { text: texts.join(""), image: content.some((block) => block.type === "image"), isError };
  };
  const { tools } = await client.listTools();
  const version = client.getNegotiatedProtocolVersion();
  return { tools: tools.map((tool) => tool.name), version, call, close: () => client.close() };
}

export const connect = (target, onProgress) => connectIn("auto", target, onProgress);
