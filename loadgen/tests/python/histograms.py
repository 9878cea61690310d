"""Reads every interval log of a folder with the package hdrhistogram, and holds the percentile text beside it against it.

Usage: histograms.py FOLDER; prints {stem: {log: [{tag, count, p50_us: [low, high], p99_us}], percentiles: rows compared}}.
"""

import json
import pathlib
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

LONGEST_NS = 1_200_000_000_000


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
    """Each line's count and percentile lead to its value, which is rounded to 1 µs there; the last line has all samples."""
    total = merged.get_total_count()
    lines = rows(path.read_text())
    assert lines[-1][1:] == (1.0, total), (path, lines[-1])
    for value, percentile, count in lines:
        assert count / total >= percentile - 1e-9, (path, percentile, count)
        low, high = around(merged, 100 * count / total)
        assert min(low, merged.get_max_value() / 1e3) - 1 <= value * 1e3 <= high + 1, (path, value, low, high)
    return len(lines)


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
