// Makes calls with jsforce, the client that Salesforce keeps, and prints what it read of the answers, as a JSON array.
//
// Usage: node salesforce_sdk.mjs FOLDER, in which `node_modules` is; standard input is
// {"host": …, "clientId": …, "clientSecret": …, "calls": [{"call": "upsert", "arguments": ["Lead", […], "Key__c"]}]}.
// A refusal is {"refused": code}; anything else that goes wrong ends the script with 1.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const { Connection } = require("@jsforce/jsforce-node");

const { host, clientId, clientSecret, calls } = JSON.parse(await text(process.stdin));
// Retries would hide what the simulator says.
const maxRetries = 0;
const connection = new Connection({
  version: "66.0",
  instanceUrl: host,
  oauth2: { loginUrl: host, clientId, clientSecret },
  requestTimeout: 30_000,
});
await connection.authorize({ grant_type: "client_credentials" });

const known = {
  describe: (object) => connection.describe(object),
  query: (soql) => connection.query(soql),
  toolingQuery: (soql) => connection.tooling.query(soql),
  createField: (field) => connection.tooling.sobject("CustomField").create(field),
  upsert: (object, records, key) => connection.sobject(object).upsert(records, key, { allOrNone: false, maxRetries }),
  update: (object, records) => connection.sobject(object).update(records, { allOrNone: false, maxRetries }),
  // What jsforce has no method for goes through its plain requests.
  post: (path, body) => connection.requestPost(path, body),
  merge: (requests) => connection.soap.merge(requests),
  identity: () => connection.userInfo,
};

const answers = [];
for (const { call, arguments: parameters } of calls) {
  try {
    answers.push((await known[call](...parameters)) ?? null);
  } catch (error) {
    if (typeof error.errorCode !== "string") throw error;
    answers.push({ refused: error.errorCode });
  }
}
console.log(JSON.stringify(answers));
