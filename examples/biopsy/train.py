"""Trains the example's model and writes model.onnx and metrics.json.

A gradient-boosted tree ensemble learns on three quarters of the patients; the other quarter is held out
and measures the file that is written, through onnxruntime. Seeds are fixed: the same versions
(requirements.txt) give the same file.

Class order: label 0 = benign, label 1 = malignant; so the second column of the output
`probabilities` is the probability of a malignant finding.
"""

import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
SEED = 20260101
HELD_OUT = 0.25


def main() -> None:
    patients, measurements = read_patients()
    malignant = read_malignant(patients)
    learn, held_out = train_test_split(
        np.arange(len(patients)), test_size=HELD_OUT, stratify=malignant, random_state=SEED
    )

    ensemble = GradientBoostingClassifier(
        n_estimators=100, max_depth=3, learning_rate=0.1, subsample=0.8, random_state=SEED
    )
    ensemble.fit(measurements[learn], malignant[learn])
    model = export(ensemble, measurements.shape[1])
    (HERE / "model.onnx").write_bytes(model)

    metrics = measure(model, measurements[held_out], malignant[held_out])
    metrics["patients_learned"] = len(learn)
    metrics["trees"] = int(ensemble.n_estimators_)
    metrics["model_bytes"] = len(model)
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    print(json.dumps(metrics, indent=2))


def read_patients() -> tuple[list[str], np.ndarray]:
    with (HERE / "patients.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    # 32-bit floats, as the exported model reads them: no threshold falls between the two precisions.
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.float32)


def read_malignant(patients: list[str]) -> np.ndarray:
    with (HERE / "diagnosis.csv").open(newline="") as file:
        diagnosis = {row["patient"]: row["diagnosis"] for row in csv.DictReader(file)}
    return np.array([diagnosis[patient] == "malignant" for patient in patients], dtype=np.int64)


def export(ensemble: GradientBoostingClassifier, features: int) -> bytes:
    model = to_onnx(
        ensemble,
        initial_types=[("measurements", FloatTensorType([None, features]))],
        options={"zipmap": False},
        target_opset={"": 17, "ai.onnx.ml": 3},
    )
    model.graph.name = "biopsy"
    model.doc_string = "Gradient-boosted trees on the Wisconsin Diagnostic Breast Cancer set; class 1 = malignant"
    return model.SerializeToString(deterministic=True)


def measure(model: bytes, measurements: np.ndarray, malignant: np.ndarray) -> dict:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(["label", "probabilities"], {"measurements": measurements})
    return {
        "patients_held_out": len(malignant),
        "auc_held_out": round(float(roc_auc_score(malignant, probabilities[:, 1])), 4),
        "accuracy_held_out": round(float(accuracy_score(malignant, label)), 4),
    }


if __name__ == "__main__":
    main()
