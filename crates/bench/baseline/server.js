// The receiver a reader would write: Express, the signature checked over the raw body, an answer.
//
//   node server.js          answers at once and keeps nothing
//   node server.js PORT     first puts the event on a BullMQ queue in the Redis at 127.0.0.1:PORT, and waits until it is there
import { createHmac, timingSafeEqual } from "node:crypto";
import express from "express";

const secret = process.env.WEBHOOK_SECRET;
const redisPort = process.argv[2];
const enqueue = redisPort ? await connectQueue(Number(redisPort)) : null;

const app = express();
app.get("/readyz", (_request, response) => response.sendStatus(200));
app.post("/webhooks/tolinku", express.raw({ type: "*/*", limit: "256kb" }), async (request, response) => {
  if (!isSigned(request.body, request.get("x-webhook-signature"))) {
    return response.status(401).json({ error: "bad signature" });
  }
  const event = JSON.parse(request.body);
  if (enqueue) {
    await enqueue(event);
  }
  response.status(200).json({ received: true });
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

function isSigned(body, signature) {
  const expected = createHmac("sha256", secret).update(body).digest();
  const given = Buffer.from(signature ?? "", "hex");
  return given.length === expected.length && timingSafeEqual(given, expected);
}

async function connectQueue(port) {
  const { Queue } = await import("bullmq");
  const queue = new Queue("events", { connection: { host: "127.0.0.1", port } });
  await queue.waitUntilReady();
  return (event) => queue.add(event.event, event);
}
