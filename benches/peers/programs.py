"""Starting, watching and ending the programs that are compared. It knows no row of the table."""
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PLACE = ROOT / "target/peers-bench"
BUILT = ROOT / "target/benches/release"
LOADGEN = ROOT / "target/release/loadgen"
RAW = BUILT / "raw"
SERVER_CORE, CLIENT_CORE = 0, 1
PORT = 9001
# One thread each, packages beside the build.
ENVIRONMENT = os.environ | {"GOMAXPROCS": "1", "PEERS_NODE": str(PLACE / "node"), "NODE_ENV": "production"}


class Trouble(Exception):
    """A program that did not do what it should: the row goes on without this figure."""


def sockets(port, state):
    """Sockets of this namespace with that local port: 0A listens, 01 is established."""
    wanted = re.compile(rf":{port:04X} \w+:\w+ {state} ")
    # A server that listens for both versions of IP has its IPv4 connections in the second file.
    tables = (Path(f"/proc/net/{name}").read_text().splitlines() for name in ("tcp", "tcp6"))
    return sum(1 for table in tables for line in table if wanted.search(line))


def wait_for(what, condition, patience=30):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise Trouble(f"{what} did not come within {patience} s")
        time.sleep(0.02)


def processor_seconds(pid):
    """What all threads of a process have used, by the scheduler's own account."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((thread / "schedstat").read_text().split()[0])
        except OSError:
            continue
    return total / 1e9


def resident_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def spawn(command, core, **options):
    words = ["taskset", "-c", str(core), *map(str, command)]
    with open(PLACE / "programs.log", "a", encoding="utf-8") as log:
        print("$", shlex.join(words), file=log, flush=True)
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log, env=ENVIRONMENT, cwd=PLACE, **options)


class Server:
    """A server on its core, from the moment that it listens to the end of the block."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        wait_for("a free port", lambda: not sockets(PORT, "0A"))
        self.process = spawn(self.command, SERVER_CORE, stdout=subprocess.DEVNULL)
        try:
            wait_for(f"the port of {self.command[0]}", self.listens)
        except Trouble:
            self.__exit__()
            raise
        return self.process.pid

    def listens(self):
        if self.process.poll() is not None:
            raise Trouble(f"{self.command[0]} ended with {self.process.returncode}: see {PLACE / 'programs.log'}")
        return sockets(PORT, "0A")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def raw_client(work, pid, *options):
    """The line of a raw client that watches the server `pid`."""
    client = spawn([RAW, work, "--port", PORT, "--watch", pid, *options], CLIENT_CORE, stdout=subprocess.PIPE)
    try:
        said, _ = client.communicate(timeout=60)
    except subprocess.TimeoutExpired as error:
        client.kill()
        raise Trouble(f"raw {work} did not end") from error
    if client.returncode != 0:
        raise Trouble(f"raw {work} ended with {client.returncode}: see {PLACE / 'programs.log'}")
    return json.loads(said)


def listener(command, clients, rate, seconds):
    """A generator of another make that listens with so many clients: its figures in a window after all are there."""
    process = spawn(command, CLIENT_CORE, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"{clients} clients of {command[0]}", lambda: sockets(PORT, "01") >= clients, patience=60)
        time.sleep(1)
        before, start = processor_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        used, took = processor_seconds(process.pid) - before, time.monotonic() - start
        return {
            "per_cpu_second": clients * rate * took / used,
            "core_share": used / took,
            "rss_per_client": resident_bytes(process.pid) / clients,
        }
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Trouble(f"{command[0]} ended too early: see {PLACE / 'programs.log'}") from error
    finally:
        process.kill()
        process.wait()


def closed_loop(command, count):
    """A generator of another make that asks as fast as it can; `count` reads its answers' number out of its output."""
    start = time.monotonic()
    process = spawn(command, CLIENT_CORE, stdout=subprocess.PIPE, text=True)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise Trouble(f"{command[0]} ended with {process.returncode}: {said[-300:]}")
    cpu = used.ru_utime + used.ru_stime
    return {"per_cpu_second": count(said) / cpu, "core_share": cpu / (time.monotonic() - start)}


def loadgen_run(scenario):
    """The one trial of a scenario, given as its text: the generator beside its own server."""
    file, folder = PLACE / "scenario.toml", PLACE / "runs"
    file.write_text(scenario)
    result = folder / "latest/result.json"
    result.unlink(missing_ok=True)
    done = subprocess.run(
        [LOADGEN, "run", file, "--out", folder, "--quiet"], capture_output=True, text=True, timeout=120, check=False
    )
    if not result.exists():
        raise Trouble(f"loadgen run: {done.stderr[-500:]}")
    trial = json.loads(result.read_text())["variants"][0]["trials"][0]
    if trial["status"] != "complete":
        raise Trouble(f"loadgen run: {trial['error']}")
    return trial
