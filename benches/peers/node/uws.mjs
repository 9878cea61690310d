// Fan-out by WebSocket and polling on uWebSockets.js: node uws.mjs PORT RATE
import { createRequire } from 'node:module';
import { quotes, quote } from './feed.mjs';

const uws = createRequire(`${process.env.PEERS_NODE}/`)('@trufflesuite/uws-js-unofficial');
const [port, rate] = process.argv.slice(2).map(Number);

const body = quote();
const app = uws
  .App()
  .ws('/ws', { compression: uws.DISABLED, idleTimeout: 120, open: (socket) => socket.subscribe('quotes') })
  .get('/quotes', (response) => {
    response.writeHeader('content-type', 'application/json');
    response.end(body);
  })
  .listen('127.0.0.1', port, () => {});
quotes(rate, (text) => app.publish('quotes', text));
