// The official server: numbered events to those who subscribed, fifty a second.
// Usage: node socketio_server.mjs PORT
import { Server } from "socket.io";

// Pings often enough that a client without pongs would not last.
const io = new Server({ pingInterval: 1500, pingTimeout: 500 });
io.on("connection", (socket) => {
  socket.on("subscribe", (rooms, extra) => {
    if (extra !== 7) socket.disconnect(true);
    socket.join(rooms);
  });
  socket.emit("hello", { seq: "none" });
});
let seq = 0;
const begun = performance.now();
// A timer may be late; what is due is sent all the same.
const due = () => Math.floor((performance.now() - begun) / 20);
const tick = () => {
  seq += 1;
  io.to("ACME").emit("quote", { seq, ts: Date.now() }, "and a second argument");
  if (seq % 10 === 0) io.emit("noise", { seq: 1, ts: 1 });
};
setInterval(() => { while (seq < due()) tick(); }, 20);
io.listen(Number(process.argv[2]));
// A connection that only carries pongs is closed between two of them.
io.httpServer.keepAliveTimeout = 100;
process.on("SIGTERM", () => process.exit(0));
