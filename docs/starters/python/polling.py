"""Polling and long polling in Python.   Run: python3 docs/starters/python/polling.py --port 8080

Check: loadgen verify http://127.0.0.1:8080 --kind polling --kind long-polling
"""
from feed import after, cursor, envelope, last, newest, news, quotes, reaches, reply, serve, head, snapshot

HOLD = 15  # seconds until an answer without news


def since(seen):
    """All quotes since the cursor; or, when they are gone, where things stand and how many were missed."""
    if seen is None:
        return snapshot()
    if reaches(seen):
        return envelope(after(seen), 0, False)
    shown = newest(quotes)
    return envelope(shown, last() - seen - sum(quote[0] > seen for quote in shown), True)


async def answer(_, writer, path, query, fields):
    seen, mode = cursor(query["after"]) if "after" in query else None, query.get("mode", "since")
    known = {"/quotes": {"after", "mode"}, "/quotes/wait": {"after"}}.get(path)
    if known is None:
        return reply(writer, "404 Not Found", '{"error":"no such endpoint"}')
    if ("after" in query and seen is None) or set(query) - known or mode not in ("since", "latest"):
        return reply(writer, "400 Bad Request", '{"error":"expected after=N, mode=since or mode=latest"}')
    if path == "/quotes/wait":
        if seen == last():
            await news(HOLD)
        return reply(writer, "200 OK", since(seen), cache_control="no-store")
    tag = f'"{last()}"'
    if fields.get("if-none-match") == tag:
        return writer.write(head("304 Not Modified", etag=tag, cache_control="no-cache"))
    latest = mode == "latest" and seen is not None
    body = envelope(newest(after(seen)), 0, False) if latest else since(seen)
    reply(writer, "200 OK", body, etag=tag, cache_control="no-cache")


serve(answer)
