"""Care: who with high blood pressure has not been seen for half a year. It reads whole records."""

import csv
import datetime

TODAY = datetime.date(2026, 6, 30)
names, last = {}, {}
with open("/input/patients", encoding="utf-8") as table:
    for row in csv.DictReader(table):
        # A record without a name or a number to call would be no record for care.
        assert row["name"] and row["phone"] and len(row["resident_id"]) == 18
        names[row["patient"]] = row["name"]
with open("/input/visits", encoding="utf-8") as table:
    for row in csv.DictReader(table):
        if row["diagnosis"] == "I10":
            day = datetime.date.fromisoformat(row["day"])
            last[row["patient"]] = max(day, last.get(row["patient"], day))
with open("/output/due.csv", "w", encoding="utf-8", newline="") as out:
    table = csv.writer(out)
    table.writerow(["patient", "months"])
    for patient, day in last.items():
        months = (TODAY - day).days // 30
        if months >= 6:
            table.writerow([patient, months])
