// Makes calls with HubSpot's own SDK and prints what it read of the answers, as a JSON array.
//
// Usage: node hubspot_sdk.mjs FOLDER, in which `node_modules` is; standard input is
// {"host": …, "accessToken": …, "calls": [{"method": "crm.contacts.batchApi.upsert", "arguments": […]}]}.
// A refusal is {"refused": status, "body": …}; anything else that goes wrong ends the script with 1.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const { Client } = require("@hubspot/api-client");

const { host, accessToken, calls } = JSON.parse(await text(process.stdin));
// Retries would hide what the simulator says.
const client = new Client({ basePath: host, accessToken, numberOfApiCallRetries: 0 });

const answers = [];
for (const { method, arguments: parameters } of calls) {
  const path = method.split(".");
  const name = path.pop();
  const api = path.reduce((part, member) => part[member], client);
  try {
    answers.push((await api[name](...parameters)) ?? null);
  } catch (error) {
    if (typeof error.code !== "number") throw error;
    answers.push({ refused: error.code, body: error.body });
  }
}
console.log(JSON.stringify(answers));
