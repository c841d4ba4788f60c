// The pillar document's receiver: the body is parsed first, and the signature is checked over `timestamp.body` with the
// body written again by JSON.stringify.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;

function isGenuine(headers, body) {
  const given = Buffer.from(headers["x-webhook-signature"] ?? "", "utf8");
  const timestamp = headers["x-webhook-timestamp"] ?? "";
  const age = Math.abs(Date.now() / 1000 - Number.parseInt(timestamp, 10));
  if (!(age <= TOLERANCE_SECONDS)) return false;
  const wanted = createHmac("sha256", process.env.WEBHOOK_SECRET)
    .update(`${timestamp}.${JSON.stringify(body)}`)
    .digest("hex");
  return given.length === wanted.length && timingSafeEqual(given, Buffer.from(wanted));
}

const server = createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (piece) => (text += piece));
  request.on("end", () => {
    const body = JSON.parse(text);
    const genuine = isGenuine(request.headers, body);
    console.log(`${genuine ? "verified" : "refused"} ${body.event}`);
    response.writeHead(genuine ? 200 : 401).end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
