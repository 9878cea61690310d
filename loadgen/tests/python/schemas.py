"""Holds the shipped scenarios and a result against the checked-in schemas with the package jsonschema.

Usage: schemas.py ROOT RESULT; prints {valid: {name: error or null}, mistakes: {mistake: error or null}}.
"""

import copy
import json
import pathlib
import sys
import tomllib

from jsonschema import Draft202012Validator

root, result = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def validator(name):
    schema = json.loads((root / "docs/schema" / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def error(of, document):
    first = next(iter(of.iter_errors(document)), None)
    return first and f"{first.json_path}: {first.message}"[:300]


scenarios, results = validator("scenario.schema.json"), validator("tickertape-result-1.schema.json")
valid, mistakes = {}, {}
for path in sorted((root / "scenarios").glob("**/*.toml")):
    valid[path.name] = error(scenarios, tomllib.loads(path.read_text(encoding="utf-8")))
whole = json.loads(result.read_text(encoding="utf-8"))
valid["result"] = error(results, whole)

mistaken = {
    "a key that is misspelt": '[load]\nclient = 5',
    "a duration without a unit": '[load]\nmeasure = 10',
    "a duration of an unknown unit": '[load]\nmeasure = "10 parsecs"',
    "no clients": '[load]\nclients = 0',
    "an empty sweep": '[load]\nclients = []',
    "an unknown transport": '[[transport]]\nkind = "pigeon"',
    "a transport without a kind": '[[transport]]\nname = "x"',
    "an unknown word": '[[transport]]\nkind = "sse"\nhttp = "4"',
    "a header that is a number": '[load]\nheaders = { a = 1 }',
}
for mistake, text in mistaken.items():
    mistakes[mistake] = error(scenarios, tomllib.loads(text))


def changed(mistake, change):
    document = copy.deepcopy(whole)
    change(document)
    mistakes[mistake] = error(results, document)


changed("another format", lambda document: document.update(format="tickertape-result/2"))
changed("a status of its own", lambda document: document.update(status="fine"))
changed("no variants", lambda document: document.pop("variants"))
changed("text for a count", lambda document: document["variants"][0]["trials"][0]["updates"].update(delivered_once="5"))
json.dump({"valid": valid, "mistakes": mistakes}, sys.stdout)
