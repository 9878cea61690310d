// The official client: what it hears, as one line of JSON.
// Usage: node socketio_client.mjs URL CARRIERS QUOTES [SYMBOLS]
import { io } from "socket.io-client";

const [url, carriers, wanted, symbols] = process.argv.slice(2);
const heard = { snapshots: [], quotes: [], carrier: null, upgraded: false };
const socket = io(url, {
  transports: carriers.split(","),
  auth: symbols ? { symbols: symbols.split(",") } : undefined,
  reconnection: false,
});
const end = (reason) => {
  heard.carrier = socket.io.engine?.transport?.name ?? null;
  console.log(JSON.stringify({ ...heard, reason }));
  socket.disconnect();
  setTimeout(() => process.exit(0), 100);
};
socket.io.on("open", () => socket.io.engine.once("upgrade", () => (heard.upgraded = true)));
socket.on("connect_error", (error) => end(String(error)));
socket.on("disconnect", (reason) => heard.quotes.length < wanted && end(reason));
socket.on("snapshot", (envelope) => heard.snapshots.push(envelope));
socket.on("quote", (quote) => {
  if (heard.quotes.push(quote) === Number(wanted)) end(null);
});
setTimeout(() => end("too slow"), 15_000);
