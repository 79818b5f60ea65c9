// Vercel's AI SDK: six connections at once, and what its agent hands to the model. COMMAND, ANSWER, NODE_MODULES.
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [command, answer, modules] = process.argv.slice(2);
const [program, ...args] = JSON.parse(command);
const from = (file) => import(pathToFileURL(`${modules}/@ai-sdk/mcp/dist/${file}`));
const { createMCPClient } = await from("index.js");
const { Experimental_StdioMCPTransport: Transport } = await from("mcp-stdio/index.js");

const connect = () => createMCPClient({ transport: new Transport({ command: program, args, env: process.env }) });
const outcomes = await Promise.allSettled(Array.from({ length: 6 }, connect));
const clients = outcomes.filter((one) => one.status === "fulfilled").map((one) => one.value);
const failures = outcomes.filter((one) => one.status === "rejected").map((one) => String(one.reason));

const seen = { connected: clients.length, failures };
if (clients.length) {
  const tools = await clients[0].tools();
  const call = async (tool, given) => JSON.stringify(await tools[tool].execute(given, { toolCallId: "1", messages: [] }));
  seen.tools = Object.keys(tools).sort();
  seen.read = await call("list_nodes", {});
  seen.error = await call("get_run", { run_id: "portal:" });
}
await Promise.all(clients.map((client) => client.close()));
writeFileSync(answer, JSON.stringify(seen));
