"""Reads every CSV of a folder strictly: rows are as long as the heading, no cell is a formula.

Usage: tables.py FOLDER; prints {name: number of rows}.
"""

import csv
import json
import pathlib
import sys

found = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.csv")):
    with open(path, newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file, strict=True)
    for row in rows:
        assert len(row) == len(head), (path, row)
        assert not any(cell.startswith(("=", "@", "+", "\t", "\r")) for cell in row), (path, row)
    found[path.stem] = len(rows)
json.dump(found, sys.stdout)
