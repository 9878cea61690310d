"""What all three servers publish: quotes on a schedule, the envelope around several of them, the control endpoints."""
import asyncio, json, os, re, signal, socket, sys, time
from urllib.parse import parse_qsl, urlsplit


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


ALLOWED = option("--allow-origin")  # whose pages may read besides our own, as in http://127.0.0.1:8600
RATE, BYTES, WINDOW, SYMBOLS = 10, 120, 4096, ["ACME", "BOLT", "CRUX", "DUNE"]
quotes = []  # the newest WINDOW of them as (number, symbol, text), oldest first
prices, waiting = [10000] * len(SYMBOLS), set()


def now():
    return time.time_ns() // 1000  # Unix microseconds


def last():
    return quotes[-1][0] if quotes else 0


async def publish():
    """Quote k is due at start + k / RATE; when the timer is late, so is the quote: none is skipped."""
    start = now()
    while True:
        seq = last() + 1
        due, symbol = start + seq * 1_000_000 // RATE, seq % len(SYMBOLS)
        while due > now():
            await asyncio.sleep((due - now()) / 1e6)
        prices[symbol] += 25 if seq % 2 else -24
        head = (f'{{"seq":{seq},"sym":"{SYMBOLS[symbol]}","px":{prices[symbol] / 100:.2f},"qty":{100 + seq % 9 * 100},'
                f'"due":{due},"sent":{now()},"pad":"')
        quotes.append((seq, symbol, head + "." * (BYTES - len(head) - 2) + '"}'))
        del quotes[:-WINDOW]
        while waiting:
            waiting.pop().set()


async def news(seconds=None):
    """Waits for the next quote, or so long."""
    event = asyncio.Event()
    waiting.add(event)
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        waiting.discard(event)


def cursor(text):
    """The newest quote that a client has; None for one that cannot be."""
    return int(text) if re.fullmatch(r"\d+", text) and int(text) <= last() else None


def reaches(seen):
    return seen is not None and seen >= last() - len(quotes)  # whether the window goes back to it


def after(seen):
    return [quote for quote in quotes if quote[0] > seen]


def newest(of):
    return sorted({symbol: (seq, symbol, text) for seq, symbol, text in of}.values())


def envelope(of, gap, snapshot):
    texts = ",".join(text for _, _, text in of)
    return f'{{"last":{last()},"gap":{gap},"snapshot":{json.dumps(snapshot)},"quotes":[{texts}]}}'


def snapshot():
    return envelope(newest(quotes), 0, True)


async def follow(seen):
    """Each quote after the cursor as (number, text), for ever; (number, snapshot, True) for a new beginning."""
    while True:
        if not reaches(seen):
            seen = last()
            yield seen, snapshot(), True
        for seq, _, text in after(seen):
            seen = seq
            yield seq, text, False
        if seen == last():
            await news()


def head(status, **fields):
    fields.update({"access_control_allow_origin": ALLOWED} if ALLOWED else {})
    return "\r\n".join([f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in fields.items()), "", ""]).encode()


def reply(writer, status, body, **fields):
    writer.write(head(status, content_type="application/json", content_length=len(body), **fields) + body.encode())


def serve(answer):
    """Calls `answer(reader, writer, path, query, fields)` for each request; a connection carries one after the other."""
    async def connection(reader, writer):
        # Without this Nagle's algorithm is measured.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while not writer.is_closing():
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
                url = urlsplit(lines[0].split(" ")[1])
                if url.path in ("/healthz", "/clock"):
                    reply(writer, "200 OK", json.dumps({"unix_us": now()}))
                else:
                    await answer(reader, writer, url.path, dict(parse_qsl(url.query, keep_blank_values=True)), fields)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def main():
        port = int(option("--port") or 8080)
        await asyncio.start_server(connection, "127.0.0.1", port)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
        await publish()

    asyncio.run(main())
