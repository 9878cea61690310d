// The package socket.io as a chat: rooms that are joined and left, what is said in them, and how many are there.
// Usage: node socketio-chat.mjs PORT
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http);
const count = (room) => io.sockets.adapter.rooms.get(room)?.size ?? 0;
io.on("connection", (socket) => {
  socket.on("join", (room) => {
    socket.join(room);
    io.to(room).emit("online", { room, online: count(room) });
  });
  // Everybody in the room hears it, the one who says it included.
  socket.on("say", (room, message) => io.to(room).emit("said", { room, message }));
  socket.on("disconnecting", () => {
    for (const room of socket.rooms) {
      if (room !== socket.id) socket.to(room).emit("online", { room, online: count(room) - 1 });
    }
  });
});
http.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
