// A receiver by the Standard Webhooks specification: `id.timestamp.body`, the key is the base64 behind `whsec_`.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");

function isGenuine(headers, raw) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  if (!id || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const wanted = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(raw).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((entry) => {
    const [version, signature] = entry.split(",");
    const given = Buffer.from(signature ?? "", "base64");
    return version === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

const server = createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const raw = Buffer.concat(pieces);
    const genuine = isGenuine(request.headers, raw);
    console.log(`${genuine ? "verified" : "refused"} ${JSON.parse(raw).event}`);
    response.writeHead(genuine ? 200 : 401).end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
