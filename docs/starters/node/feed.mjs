// What all three servers publish: quotes on a schedule, the envelope around several of them, and the control endpoints.
import { createServer } from "node:http";

const [RATE, BYTES, WINDOW, SYMBOLS] = [10, 120, 4096, ["ACME", "BOLT", "CRUX", "DUNE"]];
const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000); // Unix microseconds
const option = (name) => process.argv[process.argv.indexOf(name) + 1 || Infinity];
export const allowed = option("--allow-origin"); // whose pages may read besides our own, as in http://127.0.0.1:8600
const prices = SYMBOLS.map(() => 10000), start = now();
export const quotes = []; // the newest WINDOW of them, oldest first
export const listeners = new Set(); // functions that are told each new quote
export let last = 0; // its sequence number

// Quote k is due at start + k / RATE; when the timer is late, so is the quote: none is skipped.
setInterval(() => {
  for (let due; (due = start + Math.round(((last + 1) * 1e6) / RATE)) <= now(); ) {
    const seq = ++last, symbol = seq % SYMBOLS.length, qty = 100 * (1 + (seq % 9));
    const px = ((prices[symbol] += seq % 2 ? 25 : -24) / 100).toFixed(2);
    const head = `{"seq":${seq},"sym":"${SYMBOLS[symbol]}","px":${px},"qty":${qty},"due":${due},"sent":${now()},"pad":"`;
    const quote = { seq, symbol, text: head + ".".repeat(BYTES - head.length - 2) + '"}' };
    if (quotes.push(quote) > WINDOW) quotes.shift();
    for (const tell of [...listeners]) tell(quote);
  }
}, 5);

// A cursor is the number of the newest quote that a client has: null for none, NaN for one that cannot be.
export const cursor = (text) => (text == null ? null : /^\d+$/.test(text) && Number(text) <= last ? Number(text) : NaN);
export const reaches = (after) => after !== null && after >= last - quotes.length; // whether the window goes back to it
export const after = (cursor) => quotes.filter((quote) => quote.seq > cursor);
export const newest = (list) => SYMBOLS.map((_, s) => list.findLast((q) => q.symbol === s)).filter(Boolean).sort((a, b) => a.seq - b.seq);
export const envelope = (list, gap, snapshot) => `{"last":${last},"gap":${gap},"snapshot":${snapshot},"quotes":[${list.map((q) => q.text)}]}`;
export const snapshot = () => envelope(newest(quotes), 0, true);

export function serve(answer) {
  const server = createServer((req, res) => {
    if (allowed) res.setHeader("access-control-allow-origin", allowed);
    const url = new URL(req.url, "http://here");
    if (url.pathname === "/healthz") return res.end("ok");
    if (url.pathname === "/clock") return res.end(`{"unix_us":${now()}}`);
    answer(req, res, url);
  });
  server.keepAliveTimeout = 0; // a poller may take its time
  server.on("connection", (socket) => socket.setNoDelay(true)); // or Nagle's algorithm is measured
  server.listen(Number(option("--port") ?? 8080), "127.0.0.1");
  process.on("SIGTERM", () => process.exit(0));
  return server;
}
