"""Makes the Markdown of what was measured. Pure: it reads and runs nothing."""
from statistics import median

# A miss of a ratio counts past this: what interleaved medians repeat to.
TOLERANCE = 0.07
# The edges of a window cost as much of a round.
LEAST_DELIVERED = 0.97

# What is shown beside a row's own figure.
NAMES = {
    "p50_us": "p50 µs", "p99_us": "p99 µs", "core_share": "of a core", "rss_per_client": "B a client",
    "delivered_share": "delivered", "lost": "lost",
}  # fmt: skip


def ratios(rounds, name, against, figure):
    """Of the rounds in which both have the figure."""
    pairs = ((each.get(name, {}).get(figure), each.get(against, {}).get(figure)) for each in rounds)
    return [ours / theirs for ours, theirs in pairs if ours is not None and theirs]


def values(rounds, name, figure):
    return [each[name][figure] for each in rounds if each.get(name, {}).get(figure) is not None]


def number(value):
    if value is None:
        return "–"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2f} M"
    if abs(value) >= 20_000:
        return f"{value / 1e3:.0f} k"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(found):
    if not found:
        return "–"
    return f"{median(found):.2f}" + (f" ({min(found):.2f}–{max(found):.2f})" if len(found) > 1 else "")


def verdict(found, goal):
    """What was reached, in words."""
    if not found:
        return "not measured"
    reached = median(found)
    tolerance = TOLERANCE if goal.against else 0
    limit = goal.least if goal.least is not None else goal.most
    short = (limit - reached) / limit if goal.least is not None else (reached - limit) / limit
    if short <= 0:
        return "reached"
    return "within the noise" if short * limit <= tolerance else f"short by {short:.0%}"


def goal_lines(row, rounds):
    for goal in row.goals:
        figure = goal.figure or row.figure
        found = ratios(rounds, goal.who, goal.against, figure) if goal.against else values(rounds, goal.who, figure)
        limit = f"≥ {goal.least:g}" if goal.least is not None else f"≤ {goal.most:g}"
        what = f"{limit} × {goal.against}" if goal.against else f"{limit} {row.unit if figure == row.figure else ''}"
        what += f" ({NAMES[figure]})" if goal.figure else ""
        what += f", {goal.who}" if "*" not in goal.who else ""
        shown = spread(found) if goal.against else number(median(found)) if found else "–"
        who = [goal.who, *([goal.against] if goal.against else [])]
        shares = [share for name in who for share in values(rounds, name, "delivered_share")]
        # Who is behind sends several quotes in one write, and looks cheaper than it is.
        behind = shares and min(shares) < LEAST_DELIVERED
        told = "not to be told: not everything was delivered in the window" if behind else verdict(found, goal)
        bare = values(rounds, "raw", figure)
        if not goal.against and told.startswith("short") and bare:
            told += f"; raw has {number(median(bare))}"
        yield f"| {row.title} | {what.strip()} | {shown} | {told} |"


def row_table(row, rounds):
    # Counts of what is missing are shown where something is.
    told = {key: [value for who in row.contestants for value in values(rounds, who, key)] for key in NAMES}
    columns = [(key, name) for key, name in NAMES.items() if told[key] and key != row.figure]
    full = {"delivered_share": lambda value: value >= LEAST_DELIVERED, "lost": lambda value: value == 0}
    columns = [(key, name) for key, name in columns if not all(map(full.get(key, lambda _: False), told[key]))]
    yield "| | " + " | ".join([row.unit, "ratio to raw (range)", *(name for _, name in columns), "rounds"]) + " |"
    yield "|---" * (len(columns) + 4) + "|"
    for name in row.contestants:
        own = values(rounds, name, row.figure)
        if not own:
            continue
        cells = [number(median(own)), spread(ratios(rounds, name, "raw", row.figure))]
        for key, _ in columns:
            found = values(rounds, name, key)
            cells.append((f"{median(found):.0%}" if "share" in key else number(median(found))) if found else "–")
        yield f"| {name} | " + " | ".join([*cells, str(len(own))]) + " |"


def conditions(kept):
    before, after = kept["before"], kept["after"]
    probes = " and ".join(f"{each['round_trip_us']:.1f} µs" for each in (before, after))
    foreign = " and ".join(f"{each['foreign_share']:.0%}" for each in (before, after))
    text = f"{kept['at']}; windows of {kept['seconds']:g} s; a write and read over loopback {probes}, others used {foreign}."
    if kept["faults"]:
        text += f" **Not to be believed: {'; '.join(kept['faults'])}.**"
    return text


def render(rows, kept, machine, versions):
    lines = [
        "# Beside its peers",
        "",
        "Made by `scripts/peers`, which says how; [benches/README.md](../../benches/README.md) says what is compared with what.",
        "Every figure is a median over rounds in which all took turns, every ratio the median of the ratios within each round:",
        "absolute figures of this machine vary by a quarter from one second to the next, these ratios repeat to about 0.1.",
        f"A miss of a ratio counts past {TOLERANCE}.",
        "",
        f"Machine: {machine}. Private network namespace, loopback; server on core 0, client on core 1.",
        "",
        f"Versions: {versions}.",
        "",
        "| work | goal | tickertape | |",
        "|---|---|---|---|",
    ]
    measured = [(key, row) for key, row in rows.items() if key in kept]
    for key, row in measured:
        lines += goal_lines(row, kept[key]["rounds"])
    for key, row in measured:
        lines += ["", f"## {row.title}", "", f"`--only {key}`, {conditions(kept[key])}", ""]
        lines += [*row_table(row, kept[key]["rounds"]), *([""] if row.notes else []), *row.notes]
    return "\n".join(lines) + "\n"
