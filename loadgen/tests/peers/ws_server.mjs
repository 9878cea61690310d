// The package ws as a server: numbered messages to those who subscribed, fifty a second.
// Usage: node ws_server.mjs PORT [deflate]
import { WebSocketServer } from "ws";

const [port, deflate] = process.argv.slice(2);
const server = new WebSocketServer({
  port: Number(port),
  // Every message, however short.
  perMessageDeflate: deflate ? { threshold: 0 } : false,
});
const readers = new Set();
server.on("connection", (socket) => {
  // Who was to compress and does not is no peer for this test.
  if (deflate && !socket.extensions.startsWith("permessage-deflate")) socket.close(1008, "no compression");
  socket.on("message", (text) => JSON.parse(text).subscribe === "ticks" && readers.add(socket));
  socket.on("close", () => readers.delete(socket));
  socket.on("error", () => readers.delete(socket));
});
let seq = 0;
const begun = performance.now();
// A timer may be late; what is due is sent all the same.
const due = () => Math.floor((performance.now() - begun) / 20);
const tick = () => {
  seq += 1;
  const text = JSON.stringify({ type: "tick", seq, ts: Date.now(), note: "the same words in every message" });
  for (const reader of readers) reader.send(text);
};
setInterval(() => { while (seq < due()) tick(); }, 20);
setInterval(() => server.clients.forEach((socket) => socket.ping()), 500);
process.on("SIGTERM", () => process.exit(0));
