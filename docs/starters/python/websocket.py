"""WebSocket in Python, by hand (RFC 6455).   Run: python3 docs/starters/python/websocket.py --port 8080

Check: loadgen verify http://127.0.0.1:8080 --kind websocket
"""
import asyncio, base64, hashlib, struct
from feed import ALLOWED, cursor, follow, head, reply, serve

GUID, PROTOCOL = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", "ticker.json.v1"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def frame(opcode, data):
    """A whole frame, not masked, as servers send it (section 5.2): the length takes 1, 3 or 9 bytes."""
    n = len(data)
    length = struct.pack(">B", n) if n < 126 else struct.pack(">BH", 126, n) if n < 65536 else struct.pack(">BQ", 127, n)
    return bytes([128 | opcode]) + length + data


async def tell(writer, seen):
    async for _, text, _ in follow(seen):
        writer.write(frame(TEXT, text.encode()))
        await writer.drain()


async def answer(reader, writer, path, query, fields):
    seen, offered, origin = cursor(query.get("after", "")), fields.get("sec-websocket-protocol"), fields.get("origin")
    if fields.get("upgrade", "").lower() != "websocket":
        return reply(writer, "426 Upgrade Required", "{}", connection="upgrade", upgrade="websocket", sec_websocket_version=13)
    if path != "/ws" or ("after" in query and seen is None) or (offered and PROTOCOL not in offered.split(", ")):
        return reply(writer, "400 Bad Request", "{}")
    if origin and origin != ALLOWED and not origin.endswith("//" + fields["host"]):
        return reply(writer, "403 Forbidden", "{}")  # another page's script
    accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest()).decode()
    chosen = {"sec_websocket_protocol": PROTOCOL} if offered else {}
    writer.write(head("101 Switching Protocols", connection="Upgrade", upgrade="websocket", sec_websocket_accept=accept, **chosen))
    telling = asyncio.ensure_future(tell(writer, seen))
    opcode = None
    try:  # clients say little: masked pings and a close, of at most 125 bytes
        while opcode != CLOSE:
            opcode, length = (byte & mask for byte, mask in zip(await reader.readexactly(2), (15, 127)))
            mask, data = await reader.readexactly(4), await reader.readexactly(length)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            if opcode in (PING, CLOSE):
                writer.write(frame(PONG if opcode == PING else CLOSE, data))
    finally:
        telling.cancel()
        writer.close()


serve(answer)
