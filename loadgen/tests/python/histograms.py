"""Reads every interval log of a folder with the package hdrhistogram, and holds the percentile text beside it against it.

Usage: histograms.py FOLDER; prints {stem: {log: [{tag, count, p50_us: [low, high], p99_us}], percentiles: rows compared}}.
"""

import io
import json
import pathlib
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

LONGEST_NS = 1_200_000_000_000
TICKS_PER_HALF_DISTANCE = 5


def intervals(path):
    reader = HistogramLogReader(str(path), HdrHistogram(1, LONGEST_NS, 3))
    while (histogram := reader.get_next_interval_histogram()) is not None:
        yield histogram
    reader.close()


def around(histogram, percentile):
    """The percentile in µs, a rank lower and a rank higher: which sample is meant is rounded differently by each package."""
    rank = 100 / histogram.get_total_count()
    return [histogram.get_value_at_percentile(at) / 1e3 for at in (percentile - rank, percentile + rank)]


def rows(text):
    """Value in ms, percentile, count of each line of a percentile text."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [tuple(float(cell) for cell in line[:3]) for line in lines[1:]]


def compare(path, merged):
    """The package's own percentile text has the same percentiles, counts and, to three digits, values."""
    out = io.BytesIO()
    merged.output_percentile_distribution(out, 1e6, TICKS_PER_HALF_DISTANCE)
    theirs, ours = rows(out.getvalue().decode()), rows(path.read_text())
    assert ours[-1][2] == theirs[-1][2] == merged.get_total_count(), path
    theirs = {round(percentile, 9): (value, count) for value, percentile, count in theirs}
    compared = 0
    for value, percentile, count in ours:
        if round(percentile, 9) not in theirs:
            continue
        their_value, their_count = theirs[round(percentile, 9)]
        assert count == their_count, (path, percentile, count, their_count)
        assert abs(value - their_value) <= max(0.002, 0.002 * value), (path, percentile, value, their_value)
        compared += 1
    return compared


found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.hlog")):
    log, merged = [], HdrHistogram(1, LONGEST_NS, 3)
    for histogram in intervals(path):
        log.append(
            {
                "tag": histogram.get_tag(),
                "count": histogram.get_total_count(),
                "p50_us": around(histogram, 50),
                "p99_us": around(histogram, 99),
            }
        )
        if histogram.get_tag().endswith(".delivery_delay"):
            merged.add(histogram)
    found[path.stem] = {"log": log, "percentiles": compare(path.with_suffix(".hgrm"), merged)}
json.dump(found, sys.stdout)
