"""Learns, inside of a sandbox, which biopsies are malignant: logistic regression by stochastic gradient descent.

    python3 learn.py EPOCHS

Reads /input/data (measurements), /input/diagnosis, and /input/checkpoint where there is one, from which it goes on. After each
epoch it writes /output/checkpoint.f64 whole or not at all, so that the last one survives a kill. The checkpoint holds numbers
only, and nothing that stays the same: outputs are held against the inputs, of which the last checkpoint is one. The order of an
epoch comes from its number: a run in two parts ends with the weights of a run in one.
"""

import csv
import os
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = 20260101
HELD_OUT = 0.25
GIVEN = Path("/input/checkpoint")
WRITTEN = Path("/output/checkpoint.f64")
PROGRESS = Path("/output/progress.txt")


def main() -> None:
    last = int(sys.argv[1])
    measurements, malignant = read()
    learn, held_out = train_test_split(
        np.arange(len(malignant)), test_size=HELD_OUT, stratify=malignant, random_state=SEED
    )
    state = resume() or start(measurements[learn])
    measurements = (measurements - measurements[learn].mean(axis=0)) / measurements[learn].std(axis=0)
    if int(state["epoch"]):
        say(f"goes on after epoch {int(state['epoch'])}")
    while int(state["epoch"]) < last:
        state = one_epoch(state, measurements[learn], malignant[learn])
        write(state)
        say(f"epoch {int(state['epoch'])} of {last}")
    score = measurements[held_out] @ state["weights"] + state["bias"]
    say(f"AUC {roc_auc_score(malignant[held_out], score):.4f} on {len(held_out)} patients held out")


def read() -> tuple[np.ndarray, np.ndarray]:
    with open("/input/data", newline="") as file:
        rows = list(csv.reader(file))[1:]
    with open("/input/diagnosis", newline="") as file:
        diagnosis = {row["patient"]: row["diagnosis"] for row in csv.DictReader(file)}
    malignant = np.array([diagnosis[row[0]] == "malignant" for row in rows], dtype=np.int64)
    return np.array([row[1:] for row in rows], dtype=np.float64), malignant


def start(measurements: np.ndarray) -> dict:
    return {
        "epoch": np.int64(0),
        "weights": np.zeros(measurements.shape[1]),
        "bias": np.float64(0),
    }


def resume() -> dict | None:
    if not GIVEN.exists():
        return None
    numbers = np.fromfile(GIVEN, dtype="<f8")
    return {"epoch": int(numbers[0]), "bias": numbers[1], "weights": numbers[2:]}


def one_epoch(state: dict, measurements: np.ndarray, malignant: np.ndarray) -> dict:
    epoch = int(state["epoch"]) + 1
    model = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=0.001, alpha=0.001, max_iter=1, tol=None, random_state=SEED + epoch
    )
    model.fit(measurements, malignant, coef_init=state["weights"], intercept_init=np.atleast_1d(state["bias"]))
    return state | {"epoch": np.int64(epoch), "weights": model.coef_[0], "bias": model.intercept_[0]}


def say(line: str) -> None:
    # Streams are withheld where results are for a recipient, who finds the progress beside the checkpoint.
    with PROGRESS.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


def write(state: dict) -> None:
    # Whole or not at all: written beside, then renamed.
    part = WRITTEN.with_suffix(".part")
    with part.open("wb") as file:
        np.concatenate([[state["epoch"], state["bias"]], state["weights"]]).astype("<f8").tofile(file)
        os.fsync(file.fileno())
    part.replace(WRITTEN)


if __name__ == "__main__":
    main()
