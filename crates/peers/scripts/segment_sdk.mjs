// Sends events with Segment's own SDK, as one batch.
//
// Usage: node segment_sdk.mjs FOLDER, in which `node_modules` is; standard input is
// {"host": …, "writeKey": …, "events": [{"type": "track", …what the SDK's method takes}]}.
// Ends with 1, and the SDK's own words, if it reports an error.
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(`${process.argv[2]}/`);
const { Analytics } = require("@segment/analytics-node");

const { host, writeKey, events } = JSON.parse(await text(process.stdin));
const analytics = new Analytics({ host, writeKey, flushAt: events.length, flushInterval: 60_000, maxRetries: 0 });
analytics.on("error", (error) => {
  console.error(`${error.code}: ${error.reason}`);
  process.exitCode = 1;
});
for (const { type, ...parameters } of events) {
  if (parameters.timestamp) parameters.timestamp = new Date(parameters.timestamp);
  analytics[type](parameters);
}
await analytics.closeAndFlush({ timeout: 30_000 });
