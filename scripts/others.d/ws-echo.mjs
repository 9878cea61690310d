// The package ws as an echo server: what comes goes back, text as text and binary as binary.
// Usage: node ws-echo.mjs PORT
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
  socket.on("error", () => socket.terminate());
});
process.on("SIGTERM", () => process.exit(0));
