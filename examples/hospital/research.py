"""Research: how many patients there are of each chapter of illness. It reads the view of a researcher."""

import collections
import csv

with open("/input/patients", encoding="utf-8") as table:
    rows = list(csv.DictReader(table))
# What the view does not show is not there.
assert set(rows[0]) == {"patient", "postcode", "age", "sex", "diagnosis"}, rows[0].keys()
assert all(row["patient"].startswith("h:") and "-" in row["age"] + "-" for row in rows)
classes = collections.Counter((row["postcode"], row["age"], row["sex"]) for row in rows)
assert min(classes.values()) >= 10
chapters = collections.Counter(row["diagnosis"] for row in rows)
with open("/output/counts.csv", "w", encoding="utf-8", newline="") as out:
    table = csv.writer(out)
    table.writerow(["chapter", "patients"])
    for chapter, patients in chapters.items():
        table.writerow([chapter, patients])
