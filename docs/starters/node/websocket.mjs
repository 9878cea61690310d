// WebSocket in Node, by hand (RFC 6455).   Run: node docs/starters/node/websocket.mjs --port 8080
// Check: loadgen verify http://127.0.0.1:8080 --kind websocket
import { createHash } from "node:crypto";
import { after, allowed, cursor, listeners, reaches, serve, snapshot } from "./feed.mjs";

const [GUID, PROTOCOL] = ["258EAFA5-E914-47DA-95CA-C5AB0DC85B11", "ticker.json.v1"];
const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10];

// A whole frame, not masked, as servers send it (section 5.2): the length takes 1, 3 or 9 bytes.
function frame(opcode, data) {
  const [n, head] = [data.length, Buffer.alloc(10)];
  const size = n < 126 ? head.writeUInt8(n, 1) : n < 65536 ? head.writeUInt16BE(n, 2) : head.writeBigUInt64BE(BigInt(n), 2);
  if (size > 2) head[1] = size === 4 ? 126 : 127;
  head[0] = 128 | opcode;
  return Buffer.concat([head.subarray(0, size), data]);
}

const server = serve((req, res) => res.writeHead(426, { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13" }).end());
server.on("upgrade", (req, socket) => {
  const [url, fields] = [new URL(req.url, "http://here"), req.headers];
  const refuse = (status) => socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  const [seen, offered] = [cursor(url.searchParams.get("after")), fields["sec-websocket-protocol"]?.split(/, */)];
  if (url.pathname !== "/ws" || Number.isNaN(seen) || offered?.includes(PROTOCOL) === false) return refuse("400 Bad Request");
  if (fields.origin && fields.origin !== allowed && !fields.origin.endsWith(`//${fields.host}`)) return refuse("403 Forbidden"); // another page's script
  const accept = createHash("sha1").update(fields["sec-websocket-key"] + GUID).digest("base64");
  const chosen = offered ? `sec-websocket-protocol: ${PROTOCOL}\r\n` : "";
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: ${accept}\r\n${chosen}\r\n`);

  const say = (text) => socket.write(frame(TEXT, Buffer.from(text))), tell = (quote) => say(quote.text);
  if (reaches(seen)) after(seen).forEach(tell);
  else say(snapshot());
  listeners.add(tell);
  socket.on("error", () => {}).on("close", () => listeners.delete(tell));

  let buffer = Buffer.alloc(0); // clients say little: masked pings and a close, of at most 125 bytes
  socket.on("data", (data) => {
    buffer = Buffer.concat([buffer, data]);
    for (let n; buffer.length >= 6 && buffer.length >= 6 + (n = buffer[1] & 127); buffer = buffer.subarray(6 + n)) {
      const payload = buffer.subarray(6, 6 + n).map((byte, i) => byte ^ buffer[2 + (i % 4)]);
      if ((buffer[0] & 15) === PING) socket.write(frame(PONG, payload));
      if ((buffer[0] & 15) === CLOSE) return socket.end(frame(CLOSE, payload));
    }
  });
});
