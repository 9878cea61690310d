// A load generator on ws as one would write it: node client.mjs PORT CLIENTS SECONDS
import { createRequire } from 'node:module';

const { WebSocket } = createRequire(`${process.env.PEERS_NODE}/`)('ws');
const [port, clients, seconds] = process.argv.slice(2).map(Number);

const delays = [];
const now = () => (performance.timeOrigin + performance.now()) * 1000;
for (let client = 0; client < clients; client += 1) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false });
  socket.on('message', (data) => {
    const message = JSON.parse(data);
    if (message.sent) delays.push(now() - message.sent);
  });
}
setTimeout(() => {
  delays.sort((a, b) => a - b);
  console.log(JSON.stringify({ count: delays.length, p50_us: delays[delays.length >> 1] }));
  process.exit(0);
}, seconds * 1000);
