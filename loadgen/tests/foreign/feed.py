"""A server of somebody else's with known faults: 20 updates a second, held for 40 ms, every 50th dropped,
every 70th doubled, over a WebSocket, an event stream and two kinds of polling, each in words of its own.

It counts its own bytes: `--log FILE` gets one JSON line for each connection that ends. Standard library only.
"""
import argparse, asyncio, base64, datetime, hashlib, json, signal, ssl, struct, threading, time
from urllib.parse import parse_qs, urlsplit

options = argparse.ArgumentParser()
options.add_argument("--port", type=int, required=True)
options.add_argument("--log")
options.add_argument("--rate", type=float, default=20.0)
options.add_argument("--hold", type=float, default=0.040)
options.add_argument("--clock-ahead", type=float, default=0.0, help="seconds that this server's clock is ahead")
options.add_argument("--certificate", nargs=2)
options.add_argument("--token")
options.add_argument("--idle", type=float, help="seconds after which an idle connection is closed")
options = options.parse_args()

print("started with", vars(options), flush=True)
history, connections = [], set()


def now():
    return time.time() + options.clock_ahead


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.path, self.read, self.written = transport, None, 0, 0
        self.buffer, self.mode, self.after = b"", "http", 0
        connections.add(self)

    def connection_lost(self, _):
        connections.discard(self)
        if options.log and self.path:
            with open(options.log, "a") as log:
                log.write(json.dumps({"path": self.path, "read": self.read, "written": self.written}) + "\n")

    def data_received(self, data):
        self.read += len(data)
        self.buffer += data
        if self.mode == "websocket":
            return self.frames()
        while self.mode != "websocket" and b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            self.answer(head.decode())

    def eof_received(self):
        return False

    def send(self, data):
        self.written += len(data)
        self.transport.write(data)

    def reply(self, body, status="200 OK", kind="application/json"):
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)
        if options.idle:
            asyncio.get_running_loop().call_later(options.idle, self.transport.close)

    def answer(self, head):
        lines = head.split("\r\n")
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        url = urlsplit(lines[0].split(" ")[1])
        self.path = url.path
        if options.token and fields.get("authorization") != f"Bearer {options.token}":
            return self.reply(b"", "401 Unauthorized")
        if url.path == "/healthz":
            self.reply(b"ok", kind="text/plain")
        elif url.path == "/clock":
            self.reply(json.dumps({"unix_us": int(now() * 1e6)}).encode())
        elif url.path == "/feed":
            key = fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode())
            self.mode = "websocket"
            self.frames()
        elif url.path == "/events":
            self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hello\n\n")
            self.mode = "events"
        elif url.path == "/poll":
            self.poll(int(parse_qs(url.query).get("since", ["0"])[0]))
        elif url.path == "/wait":
            self.after = int(parse_qs(url.query).get("since", [str(len(history))])[0])
            self.mode = "wait"
            self.wake()
        elif url.path == "/state":
            self.reply(json.dumps(history[-1] if history else {}).encode())
        elif url.path == "/text":
            self.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            self.mode = "text"
        else:
            self.reply(b"", "404 Not Found")

    def poll(self, since):
        items = [item for item in history[since:] for _ in range(item["times"])]
        items = [{"id": item["id"], "at": item["at_us"]} for item in items]
        self.reply(json.dumps({"next": len(history), "items": items}).encode())

    def frames(self):
        while len(self.buffer) >= 6:
            opcode, length = self.buffer[0] & 15, self.buffer[1] & 127
            if len(self.buffer) < 6 + length:
                return
            mask, data = self.buffer[2:6], self.buffer[6:6 + length]
            self.buffer = self.buffer[6 + length:]
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            if opcode == 1 and json.loads(data).get("method") == "SUBSCRIBE":
                self.frame(1, b'{"result":null,"id":1}')
                self.subscribed = True
            elif opcode == 9:
                self.frame(10, data)
            elif opcode == 8:
                self.frame(8, data)
                self.transport.close()

    def frame(self, opcode, data):
        length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack(">H", len(data))
        self.send(bytes([128 | opcode]) + length + data)

    def tell(self, item):
        if self.mode == "websocket" and getattr(self, "subscribed", False):
            trade = {"e": "trade", "E": item["at_us"] // 1000, "s": "ACME", "t": item["id"]}
            for _ in range(item["times"]):
                self.frame(1, json.dumps(trade).encode())
        elif self.mode == "events":
            data = json.dumps({"seq": item["id"], "data": {"price": 1, "ts": item["ts"]}})
            self.send(f"event: tick\ndata: {data}\n\n".encode() * item["times"])
        elif self.mode == "text":
            self.send(f"data: ACME {item['id']} at {item['at_us'] / 1e6:.6f}\n\n".encode() * item["times"])

    def wake(self):
        if self.mode == "wait" and any(item["times"] for item in history[self.after:]):
            self.mode = "http"
            self.poll(self.after)


def publish(number, made):
    made_us = int(made * 1e6)
    stamp = datetime.datetime.fromtimestamp(made_us / 1e6, datetime.timezone.utc)
    times = 0 if number % 50 == 0 else 2 if number % 70 == 0 else 1
    item = {"id": number, "at_us": made_us, "times": times, "ts": stamp.isoformat(timespec="microseconds")}
    history.append(item)
    for connection in list(connections):
        connection.tell(item)
        connection.wake()


def pace(loop):
    """Update k is made at start + k / rate by the wall clock, and published when it was held long enough."""
    start = now()
    for number in range(1, 1_000_000):
        made = start + number / options.rate
        time.sleep(max(0.0, made + options.hold - now()))
        loop.call_soon_threadsafe(publish, number, made)


async def main():
    loop = asyncio.get_running_loop()
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.certificate)
    server = await loop.create_server(Connection, "127.0.0.1", options.port, ssl=context)
    threading.Thread(target=pace, args=(loop,), daemon=True).start()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    server.close()


asyncio.run(main())
