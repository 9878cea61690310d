"""The rows of the table: who is measured how, and what is to be reached. It neither repeats, nor judges, nor prints."""
import json
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from typing import Callable

from programs import (
    BUILT, CLIENT_CORE, LOADGEN, PLACE, PORT, RAW, ROOT, Server, closed_loop, listener, loadgen_run, raw_client, spawn,
)  # fmt: skip

OURS = "**tickertape**"
LIBRARY = "tickertape, engine library"
SERVER, GENERATOR = 0, 1
NODE = ROOT / "benches/peers/node"
K6 = PLACE / "venv/bin/k6"
K6_SCRIPTS = ROOT / "benches/peers/k6"
MANY = 10_000


@dataclass
class Goal:
    """At least `least`, or at most `most`, of `against`'s figure in the same round; of the figure itself without it."""

    against: str | None
    least: float | None = None
    most: float | None = None
    figure: str | None = None
    # Somebody of ours in the place of the first.
    who: str = OURS


@dataclass
class Row:
    """One line of the table. A contestant takes the window's seconds and returns its figures by name."""

    title: str
    figure: str
    unit: str
    goals: list[Goal]
    contestants: dict[str, Callable[[float], dict]]
    # What does not depend on the hour is measured once.
    rounds: int | None = None
    notes: list[str] = field(default_factory=list)

    def turns(self, number):
        """Who takes part in a round: everybody in every other one, in those between who a goal speaks of."""
        wanted = {"raw", OURS} | {goal.against for goal in self.goals} | {goal.who for goal in self.goals}
        names = [name for name in self.contestants if number % 2 == 0 or name in wanted]
        # Each round begins with another one, so that none always follows the same.
        first = number % len(names)
        return names[first:] + names[:first]


@cache
def has_engine():
    """Whether this build's server and its generator have the direct engine."""
    serve = subprocess.run([LOADGEN, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    file = PLACE / "engine.toml"
    file.write_text(scenario("websocket", 1, 1, 1, engine="direct"))
    checked = subprocess.run([LOADGEN, "check", file], capture_output=True, check=False)
    return "--engine" in serve, checked.returncode == 0


def engine(name):
    return ["--engine", name] if has_engine()[0] else []


def ours(rate, which="direct", quote_bytes=150, symbols=8):
    common = ["--listen", f"127.0.0.1:{PORT}", "--cpus", 0, "--workers", 1, "--arrivals", "constant"]
    feed = ["--symbols", symbols, "--quote-bytes", quote_bytes, "--updates-per-second", rate]
    return [LOADGEN, "serve", *common, *feed, *engine(which)]


def scenario(kind, clients, rate, seconds, engine=None, workload="ticker", **options):
    lines = [
        "[workload]", f'kind = "{workload}"', "[feed]", "symbols = 8", f"updates_per_second = {float(rate)}", 'arrivals = "constant"',
        "quote_bytes = 150", "[load]", f"clients = {clients}", f'connect_over = "{max(100, clients // 5)}ms"',
        'warmup = "1s"', f'measure = "{int(seconds * 1000)}ms"', "trials = 1",
        "[[transport]]", f'kind = "{kind}"', *(f'{key} = "{value}"' for key, value in options.items()),
    ]  # fmt: skip
    return "\n".join([*lines, *([f'engine = "{engine}"'] if engine else [])]) + "\n"


def rust(name):
    return lambda rate: [BUILT / "rust-peers", name, PORT, rate]


def node(script):
    return lambda rate: ["node", NODE / script, PORT, rate]


def uws(rate):
    return [BUILT / "uws-peer", PORT, rate]


def go(rate):
    return [PLACE / "go-peer", PORT, rate]


def both_engines(side, make):
    """Ours with the direct engine, and with libraries where that side has both."""
    return {OURS: make("direct")} | ({LIBRARY: make("library")} if has_engine()[side] else {})


def fan_out(kind, server, clients, rate, warmup=1.0, window=None):
    def measure(seconds):
        with Server(server(rate)) as pid:
            seconds = window or seconds
            options = ["--kind", kind, "--clients", clients, "--warmup", warmup, "--seconds", seconds]
            found = raw_client("recv", pid, *options)
        expected = clients * rate * found["seconds"]
        figures = {
            "per_cpu_second": found["watched_per_cpu_second"],
            "core_share": found["watched_cpu_seconds"] / found["seconds"],
            "rss_per_client": found["watched_rss_per_client"],
            "delivered_share": found["count"] / expected,
        }
        return figures | {key: found[key] for key in ("p50_us", "p99_us", "connects_per_second")}

    return measure


def connects(server):
    measure = fan_out("ws", server, MANY, 1, warmup=0.1, window=0.2)
    # Its window is too short for anything else.
    return lambda seconds: {"connects_per_second": measure(seconds)["connects_per_second"]}


def answers(server, clients=100):
    def measure(seconds):
        with Server(server(1)) as pid:
            # A closed loop is under way at once.
            options = ["--kind", "http", "--clients", clients, "--warmup", 0.5, "--seconds", seconds]
            found = raw_client("drive", pid, *options)
        figures = {"per_cpu_second": found["watched_per_cpu_second"]}
        return figures | {key: found[key] for key in ("p50_us", "p99_us")}

    return measure


def raw_server(work):
    return lambda rate: [RAW, work, "--port", PORT, "--rate", rate]


def raw_receives(kind, clients, rate):
    def measure(seconds):
        with Server(ours(rate)) as pid:
            found = raw_client("recv", pid, "--kind", kind, "--clients", clients, "--seconds", seconds)
        return {"per_cpu_second": found["own_per_cpu_second"], "rss_per_client": found["own_rss_per_client"]}

    return measure


def listens(command, clients, rate):
    def measure(seconds):
        with Server(ours(rate)):
            return listener(command(clients, seconds + 30), clients, rate, seconds)

    return measure


def rust_client(clients, seconds):
    return [BUILT / "rust-peers", "client", PORT, clients, seconds]


def node_client(clients, seconds):
    return ["node", NODE / "client.mjs", PORT, clients, seconds]


def k6(script, clients, seconds):
    settings = [f"PORT={PORT}", f"CLIENTS={clients}", f"SECONDS={int(seconds)}"]
    quiet = ["--quiet", "--no-usage-report", "--summary-mode", "compact"]
    return [K6, "run", *quiet, *(word for pair in settings for word in ("-e", pair)), K6_SCRIPTS / script]


def k6_listens(clients, seconds):
    return k6("ws.js", clients, seconds)


def generates(kind, clients, rate, which, per="updates", **options):
    """Our generator beside a server of its own, as its users run it: its own result file tells its cost."""

    def measure(seconds):
        chosen = which if has_engine()[1] else None
        trial = loadgen_run(scenario(kind, clients, rate, seconds, chosen, **options))
        own = trial["loadgen"]
        count = trial["updates"]["received_in_window"] if per == "updates" else trial["requests"]["sent"]
        figures = {
            "per_cpu_second": count / own["cpu_seconds"],
            "core_share": own["cpu_seconds"] / trial["window_s"],
            "rss_per_client": own["rss_per_client_bytes"] or own["rss_bytes"] / clients,
            "lost": (trial["updates"]["lost"] or 0) + (trial["updates"]["pending_at_end"] or 0),
        }
        for name in ("transit", "action_lag", "delivery_delay"):
            for q in ("p50_us", "p99_us"):
                figures[f"{name}_{q}"] = (trial[name] or {}).get(q)
        return {key: value for key, value in figures.items() if value is not None}

    return measure


def drives(command, pattern):
    """A closed loop of 100 connections; `pattern` finds the number of answers."""

    def measure(seconds):
        with Server([*ours(1), "--echo"]):
            return closed_loop(command(int(seconds)), lambda said: int(re.search(pattern, said)[1]))

    return measure


def raw_drives(kind, *options):
    def measure(seconds):
        with Server([*ours(1), "--echo"]) as pid:
            found = raw_client("drive", pid, "--kind", kind, "--clients", 100, "--seconds", seconds, *options)
        return {key: found[key] for key in ("p50_us", "p99_us")} | {
            "per_cpu_second": found["own_per_cpu_second"],
            "core_share": found["own_cpu_seconds"] / found["seconds"],
        }

    return measure


def raw_timer(per_second):
    def measure(seconds):
        command = [RAW, "timer", "--rate", per_second, "--seconds", seconds]
        timer = spawn(command, CLIENT_CORE, stdout=subprocess.PIPE)
        found = json.loads(timer.communicate(timeout=60)[0])
        return {"p50_us": found["p50_us"], "p99_us": found["p99_us"], "core_share": found["cpu_share"]}

    return measure


def renamed(measure, prefix):
    """The figures `prefix_p50_us` and so on as `p50_us`."""

    def inner(seconds):
        figures = measure(seconds)
        renamed = {key.removeprefix(f"{prefix}_"): value for key, value in figures.items() if key.startswith(prefix)}
        return figures | renamed

    return inner


def polls(which):
    return generates("polling", 100, 1, which, per="requests", interval="1ms", pace="after-answer")


def wrk(seconds):
    return ["wrk", "-t1", "-c100", f"-d{seconds}s", f"http://127.0.0.1:{PORT}/quotes"]


def oha(seconds):
    return [PLACE / "oha/bin/oha", "--no-tui", "-c", 100, "-z", f"{seconds}s", f"http://127.0.0.1:{PORT}/quotes"]


def pushing_rows():
    def both(kind, work, clients, rate, peers):
        made = {"raw": fan_out(kind, raw_server(work), clients, rate)}
        made |= both_engines(SERVER, lambda which: fan_out(kind, lambda at: ours(at, which), clients, rate))
        return made | {name: fan_out(kind, server, clients, at) for name, server, at in peers}

    return {
        "ws-fanout": Row(
            "WebSocket fan-out, 1,000 clients × 100/s", "per_cpu_second", "deliveries per server CPU-second",
            [Goal("raw", least=0.90), Goal("uWebSockets", least=1.0)],
            both("ws", "ws-fanout", 1000, 100, [
                ("uWebSockets", uws, 100), ("uWebSockets.js", node("uws.mjs"), 100),
                ("fastwebsockets", rust("fastwebsockets"), 100), ("tokio-tungstenite, 4 KiB buffer", rust("tungstenite"), 100),
                ("axum, 4 KiB buffer", rust("axum"), 100), ("axum, default buffer, 20/s", rust("axum-128k"), 20),
                ("gorilla", go, 100), ("ws on Node", node("server.mjs"), 100),
            ]),
        ),
        "sse-fanout": Row(
            "SSE fan-out, 1,000 clients × 50/s", "per_cpu_second", "deliveries per server CPU-second",
            [Goal("raw", least=0.85)],
            both("sse", "sse-fanout", 1000, 50, [
                ("Go net/http", go, 50), ("axum", rust("axum"), 50), ("Node http", node("server.mjs"), 50),
            ]),
        ),
        "floor": Row(
            "Latency floor, one client, 1,000/s", "p50_us", "µs from hand-over to receipt, median",
            [Goal("raw", most=1.5), Goal("raw", most=2.0, figure="p99_us")],
            {"raw": fan_out("ws", raw_server("ws-fanout"), 1, 1000)}
            | {f"{OURS}": renamed(generates("websocket", 1, 1000, "direct"), "transit")}
            | {"tickertape's server, raw client": fan_out("ws", ours, 1, 1000)},
        ),
    }  # fmt: skip


def answering_rows():
    return {
        "polling": Row(
            "Polling, 100 keep-alive connections", "per_cpu_second", "requests per server CPU-second",
            [Goal("raw", least=0.85)],
            {"raw": answers(raw_server("http"))}
            | both_engines(SERVER, lambda which: answers(lambda at: ours(at, which, quote_bytes=110, symbols=1)))
            | {"uWebSockets": answers(uws), "axum": answers(rust("axum")), "Go net/http": answers(go),
               "Node http": answers(node("server.mjs"))},
            notes=["The body has about 150 bytes: ours is an envelope around one quote of 110."],
        ),
    }  # fmt: skip


def idle_rows():
    def idle(kind, peers):
        raw = {"raw": fan_out(kind, raw_server(f"{kind}-fanout"), MANY, 1)}
        mine = both_engines(SERVER, lambda which: fan_out(kind, lambda at: ours(at, which), MANY, 1))
        return raw | mine | {name: fan_out(kind, server, MANY, 1) for name, server in peers.items()}

    sockets = {
        "uWebSockets": uws, "uWebSockets.js": node("uws.mjs"), "tokio-tungstenite, 4 KiB buffer": rust("tungstenite"),
        "axum, 4 KiB buffer": rust("axum"), "gorilla": go, "ws on Node": node("server.mjs"),
    }  # fmt: skip
    events = {"axum": rust("axum"), "Go net/http": go, "Node http": node("server.mjs")}
    return {
        "ws-memory": Row(
            "Server memory per idle WebSocket client at 10,000", "rss_per_client", "B", [Goal(None, most=1900)],
            idle("ws", sockets), rounds=1,
        ),
        "sse-memory": Row(
            "Server memory per idle SSE client at 10,000", "rss_per_client", "B", [Goal(None, most=3000)],
            idle("sse", events), rounds=1,
        ),
        "connect": Row(
            "Connecting 10,000 WebSocket clients", "connects_per_second", "upgrades/s", [Goal("raw", least=0.48), Goal(None, least=30_000)],
            {"raw": connects(raw_server("ws-fanout")), OURS: connects(ours), "uWebSockets": connects(uws)},
            notes=["Client and server have one core each, and the client is raw: 100 handshakes are under way at once. The goals "
                   "are of a machine on which raw had 62,000; 0.48 of raw is the same."],
        ),
    }  # fmt: skip


def generating_rows():
    k6_rate, rate, clients, echoes = 20, 40, 500, 200
    return {
        "ws-receive": Row(
            "Generator receiving by WebSocket, 500 clients × 40/s", "per_cpu_second", "quotes per generator CPU-second",
            [Goal("raw", least=0.80), Goal("k6, 20/s", least=8)],
            {"raw": raw_receives("ws", clients, rate)}
            | both_engines(GENERATOR, lambda which: generates("websocket", clients, rate, which))
            | {"tokio-tungstenite, 4 KiB buffer": listens(rust_client, clients, rate),
               "ws on Node": listens(node_client, clients, rate), "k6, 20/s": listens(k6_listens, clients, k6_rate)},
            notes=["The server is ours for everybody, with the same feed. k6 would need more than a core for 40/s.",
                   "Ours parses, records histograms and staleness, and keeps the ledgers of quotes and bytes; the others "
                   "parse and record one delay."],
        ),
        "sse-receive": Row(
            "Generator receiving by SSE, 500 clients × 40/s", "per_cpu_second", "quotes per generator CPU-second",
            [Goal("raw", least=0.75)],
            {"raw": raw_receives("sse", clients, rate)}
            | both_engines(GENERATOR, lambda which: generates("sse", clients, rate, which)),
        ),
        "echo-drive": Row(
            "Generator driving echo by WebSocket, 100 connections × 200/s", "per_cpu_second",
            "echoes per generator CPU-second", [Goal("raw", least=0.85)],
            {"raw": raw_drives("echo", "--pace", echoes),
             OURS: renamed(generates("websocket", 100, echoes, "direct", workload="echo"), "delivery_delay"),
             "raw, as fast as it can": raw_drives("echo"),
             "k6": drives(lambda seconds: k6("echo.js", 100, seconds), r"ws_msgs_received[ .:]+(\d+)")},
            notes=["The server is ours for everybody. Raw and ours send on a timetable and count a round trip from its planned "
                   "instant: every message is a wake-up there and back. k6, and raw beside it, send again as soon as they have "
                   "the answer, and find several at once."],
        ),
        "poll-drive": Row(
            "Generator polling in a closed loop, 100 connections", "per_cpu_second", "requests per generator CPU-second",
            [Goal("wrk", least=0.80)],
            {"raw": raw_drives("http"), "wrk": drives(wrk, r"(\d+) requests in")}
            | both_engines(GENERATOR, polls)
            | ({"oha": drives(oha, r"\[200\] (\d+) responses")} if (PLACE / "oha/bin/oha").exists() else {})
            | {"k6": drives(lambda seconds: k6("http.js", 100, seconds), r"http_reqs[ .:]+(\d+)")},
            notes=["The server is ours for everybody. Our pollers ask again a millisecond after each answer, the others at "
                   "once."],
        ),
        "generator-memory": Row(
            "Generator memory per client at 10,000", "rss_per_client", "B",
            [Goal(None, most=3000), Goal(None, most=3000, who="tickertape, SSE")],
            {"raw": raw_receives("ws", MANY, 1), OURS: generates("websocket", MANY, 1, "direct"),
             "tickertape, SSE": generates("sse", MANY, 1, "direct"),
             "tokio-tungstenite, 4 KiB buffer": listens(rust_client, MANY, 1),
             "ws on Node": listens(node_client, MANY, 1), "k6, 500 clients": listens(k6_listens, 500, 1)},
            rounds=1,
            notes=["Growth from before the first connection for raw; else the whole "
                   "process."],
        ),
        "pacing": Row(
            "Pacing, 100 planned actions a second", "p50_us", "µs late, median",
            [Goal("raw", most=1.5), Goal(None, most=0.02, figure="core_share")],
            {"raw": raw_timer(100), OURS: renamed(generates("websocket", 1, 1, "direct"), "action_lag"),
             "tickertape, real polls": renamed(generates("polling", 1, 10, "direct", interval="10ms"), "action_lag")},
            notes=["Ours is the lag of the event loop's own actions, with everything else that a run does; that of real polls "
                   "costs asking and reading, too."],
        ),
    }  # fmt: skip


def all_rows():
    return pushing_rows() | answering_rows() | idle_rows() | generating_rows()
