// Fan-out by WebSocket (ws) and by events, and polling, on Node's own http: node server.mjs PORT RATE
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { quotes, quote } from './feed.mjs';

// Packages lie beside the build, not beside this file.
const { WebSocketServer } = createRequire(`${process.env.PEERS_NODE}/`)('ws');
const [port, rate] = process.argv.slice(2).map(Number);

const readers = new Set();
const body = quote();
const server = createServer((request, response) => {
  if (request.url.startsWith('/sse')) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.flushHeaders();
    readers.add(response);
    response.on('close', () => readers.delete(response));
  } else {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  }
});
server.keepAliveTimeout = 60_000;

const sockets = new WebSocketServer({ server, path: '/ws', perMessageDeflate: false });
quotes(rate, (text) => {
  if (sockets.clients.size) {
    const bytes = Buffer.from(text);
    for (const socket of sockets.clients) socket.send(bytes, { binary: false });
  }
  if (readers.size) {
    const block = `data: ${text}\n\n`;
    for (const reader of readers) reader.write(block);
  }
});
server.listen(port, '127.0.0.1', 4096);
