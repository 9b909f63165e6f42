"""Writes patients.csv and diagnosis.csv from scikit-learn's own loader of the Wisconsin Diagnostic
Breast Cancer set (W. Wolberg and others 1995, UCI, CC BY 4.0).

The patient numbers are invented: P0001 and so on, in the order of the set. The diagnosis is kept in a
file of its own, so that a scoring task can never see it.
"""

import csv
from pathlib import Path

from sklearn.datasets import load_breast_cancer

HERE = Path(__file__).parent


def main() -> None:
    data = load_breast_cancer()
    patients = [f"P{number:04d}" for number in range(1, len(data.target) + 1)]
    features = [name.replace(" ", "_") for name in data.feature_names]
    # The loader's own classes are 0 = malignant and 1 = benign.
    diagnoses = [str(data.target_names[target]) for target in data.target]

    write("patients.csv", ["patient", *features], ([p, *row.tolist()] for p, row in zip(patients, data.data)))
    write("diagnosis.csv", ["patient", "diagnosis"], zip(patients, diagnoses))


def write(name: str, header: list[str], rows) -> None:
    with (HERE / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
