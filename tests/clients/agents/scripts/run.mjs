// What a client's model gets to see of our server: `node run.mjs MODULE ASKED ANSWER NODE_MODULES [RECIPE]`, as run.py.
import { copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [module, asked, answer, modules, recipe] = process.argv.slice(2);
const { targets, calls } = JSON.parse(asked);
const client = await import(pathToFileURL(module));
await client.load((file) => import(pathToFileURL(join(modules, file))));

async function look(target) {
  const progress = [];
  const { tools, version, call, close } = await client.connect(target, (message) => progress.push(message));
  const seen = { tools: tools.sort(), progress, version };
  for (const [name, [tool, given]] of Object.entries(calls)) seen[name] = await call(tool, given);
  await close();
  return seen;
}

const seen = {};
for (const [name, target] of Object.entries(targets)) seen[name] = await look(target);
if (client.extra) seen.extra = await client.extra(targets);
if (recipe) {
  const printed = [];
  console.log = (...words) => printed.push(words.join(" "));
  await import(pathToFileURL(recipe));
  seen.recipe = printed.join("\n");
}
writeFileSync(answer, JSON.stringify(seen));
