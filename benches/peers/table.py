"""Takes turns with everybody, row by row, keeps what was measured and writes the page. `scripts/peers` starts it."""
import argparse
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import machine
import report
import rows
from programs import PLACE, ROOT, Trouble

KEPT = PLACE / "results.json"
PAGE = ROOT / "docs/results/peers.md"
USAGE, BUSY, UNDECIDED = 2, 3, 4


def options():
    parser = argparse.ArgumentParser(prog="scripts/peers", description="This project beside its peers and raw sockets.")
    parser.add_argument("--only", default="", metavar="ROW,...", help="these rows, by their names or beginnings of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a window")
    parser.add_argument("--force", action="store_true", help="measure although the machine is busy")
    parser.add_argument("--out", type=Path, help="the page, if not docs/results/peers.md")
    parser.add_argument("--list", action="store_true", help="name the rows and who is in them")
    # The shell around this has built it by then.
    parser.add_argument("--with-oha", action="store_true", help="build oha too, which takes ten minutes")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def one_round(row, number, seconds):
    """Whoever takes part once."""
    found = {}
    for name in row.turns(number):
        try:
            found[name] = row.contestants[name](seconds)
            say(f"  {number + 1} {name}: {report.number(found[name].get(row.figure))} {row.unit}")
        except (Trouble, subprocess.TimeoutExpired, OSError, KeyError, TypeError) as error:
            say(f"  {number + 1} {name}: no figure: {error!r}")
    return found


def measure(row, asked):
    before = machine.probe()
    count = min(asked.rounds, row.rounds or asked.rounds)
    rounds = [one_round(row, number, asked.seconds) for number in range(count)]
    after = machine.probe()
    return {
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seconds": asked.seconds,
        "before": before,
        "after": after,
        "faults": machine.faults(before, after),
        "forced": asked.force,
        "rounds": rounds,
    }


def versions():
    workspace = tomllib.loads((ROOT / "benches/Cargo.toml").read_text())["workspace"]
    crates = {
        name: (kept if isinstance(kept, str) else kept.get("version", ""))
        for name, kept in workspace["dependencies"].items()
    }
    pinned = {name: version.lstrip("=") for name, version in crates.items() if version.startswith("=")}
    tables = [pinned, workspace["metadata"]["pypi"], workspace["metadata"]["npm"]]
    told = [f"{name} {version}" for table in tables for name, version in sorted(table.items())]
    of_system = ["wrk", "golang-github-gorilla-websocket-dev"]
    told += [f"{name} {machine.tell('dpkg-query', '-W', '-f', '${Version}', name)}" for name in of_system]
    told += [f"node {machine.tell('node', '--version').lstrip('v')}", machine.tell("rustc", "--version").rsplit(" (", 1)[0]]
    server, generator = rows.has_engine()
    told += [f"tickertape {machine.tell('git', '-C', str(ROOT), 'describe', '--always', '--dirty')}"]
    engines = ["direct" if direct else "library" for direct in (server, generator)]
    told += ["its server's engine {}, its generator's {}".format(*engines)]
    return ", ".join(told)


def chosen(table, only):
    wanted = [word for word in only.split(",") if word]
    unknown = [word for word in wanted if not any(key.startswith(word) for key in table)]
    if unknown:
        say(f"error: --only names {unknown[0]!r}, expected beginnings of {', '.join(table)}")
        sys.exit(USAGE)
    return [key for key in table if not wanted or any(key.startswith(word) for word in wanted)]


def main():
    asked = options()
    PLACE.mkdir(parents=True, exist_ok=True)
    table = rows.all_rows()
    keys = chosen(table, asked.only)
    if asked.list:
        for key in keys:
            print(f"{key}: {table[key].title}: {', '.join(table[key].contestants)}")
        return 0
    seen = machine.probe()
    if seen["foreign_share"] > machine.MOST_FOREIGN and not asked.force:
        share, most = f"{seen['foreign_share']:.0%}", f"{machine.MOST_FOREIGN:.0%}"
        say(f"error: others use {share} of this machine, expected at most {most}; --force measures all the same")
        return BUSY
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for key in keys:
        say(f"{key}: {table[key].title}")
        found = measure(table[key], asked)
        if found["faults"] and not asked.force:
            say(f"  once more: {'; '.join(found['faults'])}")
            found = measure(table[key], asked)
        kept[key] = found
        KEPT.write_text(json.dumps(kept))
    page = asked.out or (PLACE / "peers.md" if asked.force else PAGE)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(report.render(table, kept, machine.describe(), versions()))
    say(f"wrote {page}")
    return UNDECIDED if any(kept[key]["faults"] for key in keys) else 0


if __name__ == "__main__":
    sys.exit(main())
