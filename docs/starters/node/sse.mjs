// Server-sent events in Node: one response that never ends.   Run: node docs/starters/node/sse.mjs --port 8080
// Check: loadgen verify http://127.0.0.1:8080 --kind sse
import { after, cursor, last, listeners, reaches, serve, snapshot } from "./feed.mjs";

const HEARTBEAT = 15_000; // milliseconds of silence until a comment keeps proxies from giving up

serve((req, res, url) => {
  if (url.pathname !== "/sse") return res.writeHead(404).end();
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" });
  res.write("retry: 2000\n\n"); // how long a browser waits before it comes back

  // A browser that comes back says which quote it had last; with junk it begins anew.
  const seen = cursor(req.headers["last-event-id"]);
  const tell = (quote) => {
    res.write(`id: ${quote.seq}\ndata: ${quote.text}\n\n`);
    timer.refresh();
  };
  const timer = setInterval(() => res.write(": hb\n\n"), HEARTBEAT);
  if (reaches(seen)) after(seen).forEach(tell);
  else res.write(`event: snapshot\nid: ${last}\ndata: ${snapshot()}\n\n`);

  listeners.add(tell);
  res.on("close", () => {
    listeners.delete(tell);
    clearInterval(timer);
  });
});
