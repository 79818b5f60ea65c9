// The protocol's own package for tasks on the TypeScript SDK's client, v2. Usage: with_ext_tasks.mjs PACKAGES WHAT ANSWER
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [packages, what, answer] = process.argv.slice(2);
const { url, calls } = JSON.parse(what);
const from = (path) => import(pathToFileURL(`${packages}/@modelcontextprotocol/${path}`).href);
const { Client, StreamableHTTPClientTransport } = await from("client/dist/index.mjs");
const { createTaskSessionFromClient, resultFromTaskOutcome } = await from("ext-tasks/dist/client/index.js");

const clientInfo = { name: "test", version: "1" };
const capabilities = { elicitation: { form: {} } };
const client = new Client(clientInfo, { capabilities, versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const protocolVersion = client.getNegotiatedProtocolVersion();
let sent = 0;

// The SDK's client refuses results of types that it does not know; the package asks its host to send these requests.
async function rawDispatch({ method, params }) {
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json, text/event-stream",
    "MCP-Protocol-Version": protocolVersion,
    "Mcp-Method": method,
    "Mcp-Name": params.taskId ?? params.name,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: `raw-${++sent}`, method, params });
  const text = await (await fetch(url, { method: "POST", headers, body })).text();
  const lines = text.split("\n").filter((line) => line.startsWith("data:") && line.includes("jsonrpc"));
  const { result, error } = JSON.parse(lines.length ? lines.at(-1).slice(5) : text);
  return error ? { kind: "error", error } : { kind: "result", result };
}

const asked = [];
const session = createTaskSessionFromClient(client, {
  endpointId: "lab",
  rawDispatch,
  v2RequestFraming: { protocolVersion, clientInfo, clientCapabilities: capabilities },
  onInputRequest: async ({ kind, params }) => {
    asked.push(params.message);
    const fields = Object.entries(params.requestedSchema.properties);
    const content = Object.fromEntries(fields.map(([name, { type }]) => [name, type === "boolean" ? true : "Ann"]));
    return { action: "accept", content };
  },
});

const told = [];
for (const [name, given, then] of calls) {
  const execution = await session.callTool(name, given);
  const statuses = [];
  if (then === "cancel") await execution.cancel();
  const { outcome } = await execution.settle({ onEvent: ({ task }) => void (task && statuses.push(task.status)) });
  const { status } = outcome;
  const result = status === "completed" ? resultFromTaskOutcome(outcome) : null;
  told.push({ kind: execution.kind, status, result, error: outcome.error?.message ?? "", statuses });
}
writeFileSync(answer, JSON.stringify({ version: protocolVersion, capabilities: session.capabilities, told, asked }));
await session.close();
await client.close();
