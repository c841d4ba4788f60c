// Makes calls with Pipedrive's own SDK and prints what it read of the answers, as a JSON array.
//
// Usage: node pipedrive_sdk.mjs FOLDER, in which `node_modules` is; standard input is
// {"host": …, "apiToken": …, "calls": [{"version": "v2", "api": "PersonsApi", "method": "getPerson", "parameters": {"id": 42}}]}.
// The SDK gives a refusal as what Pipedrive said; anything else that goes wrong ends the script with 1.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const versions = { v1: require("pipedrive/v1"), v2: require("pipedrive/v2") };

const { host, apiToken, calls } = JSON.parse(await text(process.stdin));

const answers = [];
for (const { version, api, method, parameters } of calls) {
  const { Configuration, [api]: Api } = versions[version];
  const client = new Api(new Configuration({ apiKey: apiToken, basePath: `${host}/api/${version}` }));
  try {
    answers.push((await client[method](parameters)) ?? null);
  } catch (error) {
    if (error.success !== false) throw error;
    answers.push(error);
  }
}
console.log(JSON.stringify(answers));
