// The package ws as a client of the feed: what it receives, as one line of JSON.
// Usage: node ws_client.mjs URL SUBPROTOCOL QUOTES OFFER
// OFFER: off, takeover, no-takeover (asks both sides to forget).
import WebSocket from "ws";

const [url, subprotocol, wanted, offer] = process.argv.slice(2);
const forget = offer === "no-takeover" ? { serverNoContextTakeover: true, clientNoContextTakeover: true } : {};
const socket = new WebSocket(url, [subprotocol], {
  perMessageDeflate: offer !== "off" && forget,
});
const heard = { snapshots: [], quotes: [], bytes: 0, protocol: null, extensions: null };

const record = (view, at) => ({
  seq: Number(view.getBigUint64(at)),
  due: Number(view.getBigUint64(at + 8)),
  sent: Number(view.getBigUint64(at + 16)),
  sym: String.fromCharCode(...[24, 25, 26, 27].map((letter) => view.getUint8(at + letter))),
  px: view.getUint32(at + 28) / 100,
  qty: view.getUint32(at + 32),
});
const binary = (data) => {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (view.getUint8(0) === 1 && data.length === 37) return record(view, 1);
  if (view.getUint8(0) !== 2 || (data.length - 17) % 36) throw new Error(`no message: ${data.toString("hex")}`);
  const quotes = [];
  for (let at = 17; at < data.length; at += 36) quotes.push(record(view, at));
  return { last: Number(view.getBigUint64(1)), gap: Number(view.getBigUint64(9)), quotes };
};
const end = (reason) => {
  if (heard.reason === undefined) {
    heard.reason = reason;
    console.log(JSON.stringify(heard));
  }
  socket.close(1000);
};
socket.on("upgrade", ({ headers }) => (heard.extensions = headers["sec-websocket-extensions"] ?? ""));
socket.on("open", () => (heard.protocol = socket.protocol));
socket.on("message", (data, isBinary) => {
  if (heard.reason !== undefined) return;
  const message = isBinary ? binary(data) : JSON.parse(data);
  if ("last" in message) heard.snapshots.push(message);
  else if (heard.quotes.push(message) === Number(wanted)) {
    heard.bytes = socket._socket.bytesRead;
    end(null);
  }
});
socket.on("error", (error) => end(String(error)));
socket.on("close", (code) => {
  end(`closed with ${code}`);
  process.exit(0);
});
setTimeout(() => process.exit(end("too slow")), 15_000).unref();
