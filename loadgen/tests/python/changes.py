"""Change points of series by Apache Otava: as `otava analyze` finds them, and by its E-divisive with a permutation test.

Usage: changes.py FOLDER, with a CSV `time,commit,value` for each series; prints {name: {default: [index], permutation: [index]}}.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys

from otava.analysis import compute_change_points_orig

TEST = """  {name}:
    type: csv
    file: {name}.csv
    time_column: time
    attributes: [commit]
    metrics: [value]
"""


def values(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [float(row["value"]) for row in csv.DictReader(file)]


folder = pathlib.Path(sys.argv[1])
names = sorted(path.stem for path in folder.glob("*.csv"))
(folder / "otava.yaml").write_text("tests:\n" + "".join(TEST.format(name=name) for name in names))
found = {}
for name in names:
    analyzed = subprocess.run(
        [pathlib.Path(sys.executable).with_name("otava"), "analyze", name, "--since", "2020-01-01", "--output", "json"],
        cwd=folder,
        env=os.environ | {"OTAVA_CONFIG": "otava.yaml"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    groups = json.loads(analyzed.stdout)[name]
    default = [change["index"] for group in groups for change in group["changes"]]
    by_permutation, _ = compute_change_points_orig(values(folder / f"{name}.csv"), max_pvalue=0.01, seed=1)
    found[name] = {"default": default, "permutation": [int(change.index) for change in by_permutation]}
json.dump(found, sys.stdout)
