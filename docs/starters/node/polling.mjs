// Polling and long polling in Node.   Run: node docs/starters/node/polling.mjs --port 8080
// Check: loadgen verify http://127.0.0.1:8080 --kind polling --kind long-polling
import { after, cursor, envelope, last, listeners, newest, quotes, reaches, serve, snapshot } from "./feed.mjs";

const HOLD = 15_000; // milliseconds until an answer without news

function json(res, status, body, fields) {
  res.writeHead(status, { "content-type": "application/json", "content-length": body.length, ...fields }).end(body);
}

// All quotes since the cursor; or, when they are gone, where things stand and how many were missed.
function since(seen) {
  if (seen === null) return snapshot();
  if (reaches(seen)) return envelope(after(seen), 0, false);
  const shown = newest(quotes);
  return envelope(shown, last - seen - shown.filter((quote) => quote.seq > seen).length, true);
}

function poll(req, res, seen, mode) {
  const fields = { etag: `"${last}"`, "cache-control": "no-cache" };
  if (req.headers["if-none-match"] === fields.etag) return res.writeHead(304, fields).end();
  const latest = mode === "latest" && seen !== null;
  json(res, 200, latest ? envelope(newest(after(seen)), 0, false) : since(seen), fields);
}

function wait(req, res, seen) {
  const stop = () => (listeners.delete(answer), clearTimeout(timer));
  const answer = () => (stop(), json(res, 200, since(seen), { "cache-control": "no-store" }));
  const timer = setTimeout(answer, HOLD);
  if (seen !== last) return answer();
  listeners.add(answer);
  res.on("close", stop); // the client has gone
}

serve((req, res, url) => {
  const seen = cursor(url.searchParams.get("after")), mode = url.searchParams.get("mode") ?? "since";
  const known = url.pathname === "/quotes" ? ["after", "mode"] : ["after"];
  const wrong = [...url.searchParams.keys()].some((key) => !known.includes(key)) || !["since", "latest"].includes(mode);
  if (Number.isNaN(seen) || wrong) return json(res, 400, '{"error":"expected after=N, mode=since or mode=latest"}');
  if (url.pathname === "/quotes") return poll(req, res, seen, mode);
  if (url.pathname === "/quotes/wait") return wait(req, res, seen);
  json(res, 404, '{"error":"no such endpoint"}');
});
