"""Server-sent events in Python: one response that never ends.   Run: python3 docs/starters/python/sse.py --port 8080

Check: loadgen verify http://127.0.0.1:8080 --kind sse
"""
from feed import cursor, follow, head, reply, serve


async def answer(_, writer, path, query, fields):
    if path != "/sse":
        return reply(writer, "404 Not Found", "{}")
    # Without a length the body lasts until the connection ends.
    writer.write(head("200 OK", content_type="text/event-stream", cache_control="no-store", connection="close"))
    writer.write(b"retry: 2000\n\n")  # how long a browser waits before it comes back
    # A browser that comes back says which quote it had last; with junk it begins anew.
    async for seq, text, is_snapshot in follow(cursor(fields.get("last-event-id", ""))):
        event = "event: snapshot\n" if is_snapshot else ""
        writer.write(f"{event}id: {seq}\ndata: {text}\n\n".encode())
        await writer.drain()


serve(answer)
