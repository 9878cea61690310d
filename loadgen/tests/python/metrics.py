"""Parses both spellings of a run's metrics with the package prometheus_client.

Usage: metrics.py PROMETHEUS OPENMETRICS; prints {prom: samples, om: samples}.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus


def samples(families):
    return [
        {"name": sample.name, "labels": sample.labels, "value": sample.value}
        for family in families
        for sample in family.samples
    ]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


text = read(sys.argv[2])
families = list(open_metrics(text))
assert all(family.documentation for family in families)
assert all(family.name.endswith(family.unit) for family in families)
assert {family.type for family in families} == {"info", "gauge", "histogram"}, families
# A file that was cut off is refused.
try:
    list(open_metrics(text.removesuffix("# EOF\n")))
except ValueError:
    pass
else:
    raise AssertionError("without its end it parses")
json.dump({"prom": samples(prometheus(read(sys.argv[1]))), "om": samples(families)}, sys.stdout)
