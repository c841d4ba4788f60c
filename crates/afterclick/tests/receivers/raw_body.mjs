// The integration documents' receiver: the signature is checked over the raw body, before anything is parsed.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const prefix = process.env.WEBHOOK_SCHEME === "body-hex-prefixed" ? "sha256=" : "";

function isGenuine(headers, raw) {
  const given = Buffer.from(headers["x-webhook-signature"] ?? "");
  const wanted = Buffer.from(prefix + createHmac("sha256", process.env.WEBHOOK_SECRET).update(raw).digest("hex"));
  return given.length === wanted.length && timingSafeEqual(given, wanted);
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
