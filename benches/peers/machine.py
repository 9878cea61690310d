"""How quiet the machine is, and which it is. It measures no program but the kernel's loopback."""
import os
import platform
import re
import socket
import statistics
import subprocess
import time
from pathlib import Path

MOST_CHANGE = 0.15
MOST_FOREIGN = 0.10
SLICES = 10


def busy_and_total():
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def probe():
    """One second of writes and reads over a loopback pair: their median cost, and what others used meanwhile."""
    listening = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listening.getsockname())
    far, _ = listening.accept()
    message, slices = b"." * 150, []
    busy, total = busy_and_total()
    own = time.process_time()
    for _ in range(SLICES):
        end, rounds, start = time.monotonic() + 1 / SLICES, 0, time.monotonic()
        while time.monotonic() < end:
            near.send(message)
            far.recv(4096)
            rounds += 1
        slices.append((time.monotonic() - start) / rounds * 1e6)
    ticks = os.sysconf("SC_CLK_TCK")
    busy_after, total_after = busy_and_total()
    foreign = (busy_after - busy) / ticks - (time.process_time() - own)
    for each in (near, far, listening):
        each.close()
    share = max(0, foreign / ((total_after - total) / ticks))
    return {"round_trip_us": statistics.median(slices), "foreign_share": share}


def faults(before, after):
    """Why the figures between two probes should not be believed."""
    found = []
    change = abs(after["round_trip_us"] / before["round_trip_us"] - 1)
    if change > MOST_CHANGE:
        found.append(f"a write and read cost {change:.0%} more or less after than before")
    for when, seen in (("before", before), ("after", after)):
        if seen["foreign_share"] > MOST_FOREIGN:
            found.append(f"others used {seen['foreign_share']:.0%} of the machine {when}")
    return found


def tell(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def describe():
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / 2**20
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    cores = f"{os.cpu_count()} cores of {cpu[1] if cpu else platform.machine()}"
    return f"{cores}, {memory:.0f} GiB, {system}, Linux {platform.release()}"
