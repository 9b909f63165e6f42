"""Writes vectors/*.json: small models, inputs, and what Python onnxruntime makes of them.

Versions as in examples/biopsy/requirements.txt. Each file holds `model` (base64 of the ONNX file),
`inputs` and `outputs` (name, type, shape, values in row-major order; NaN is null), and `engine`,
which of the two engines must take it. The Rust tests compare within 1e-5.
"""

import base64
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

OUT = Path(__file__).parent / "vectors"
OPSET = {"": 17, "ai.onnx.ml": 3}
ML = "ai.onnx.ml"
TYPES = {"float32": "float", "float64": "double", "int64": "int64", "int32": "int32", "bool": "bool"}
warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*.json"):
        old.unlink()
    classical()
    operators()
    networks()
    print(sum(file.stat().st_size for file in OUT.glob("*.json")), "bytes")


# --- scikit-learn models


def classical() -> None:
    bx, by = load_breast_cancer(return_X_y=True)
    ix, iy = load_iris(return_X_y=True)
    dx, dy = load_diabetes(return_X_y=True)
    b = (bx[::2, :8].astype(np.float32), by[::2])
    i = (ix.astype(np.float32), iy)
    names = (i[0], np.array(["setosa", "versicolor", "virginica"])[iy])
    d = (dx.astype(np.float32), dy)
    raw = {"zipmap": False}

    learned("logistic_binary_zipmap", make_pipeline(StandardScaler(), LogisticRegression()), b)
    learned("logistic_three_classes", LogisticRegression(max_iter=500), i, raw)
    learned("logistic_text_labels", LogisticRegression(max_iter=500), names, raw)
    learned("sgd_robust_normalizer", make_pipeline(RobustScaler(), Normalizer(), SGDClassifier(loss="log_loss", random_state=1)), b, raw)
    for norm in ["max", "l1", "l2"]:
        learned(f"normalizer_{norm}", make_pipeline(Normalizer(norm), LinearRegression()), d)
    learned("pca_maxabs", make_pipeline(MaxAbsScaler(), PCA(3), LogisticRegression()), b, raw)
    learned("mlp_binary_zipmap", make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=60, random_state=1)), b)
    learned("mlp_tanh_three_classes", MLPClassifier((8,), activation="tanh", max_iter=60, random_state=1), i, raw)
    learned("mlp_regressor", MLPRegressor(hidden_layer_sizes=(6,), activation="logistic", max_iter=60, random_state=1), d)
    learned("forest_binary_zipmap", RandomForestClassifier(5, max_depth=3, random_state=1), b)
    learned("forest_text_labels", RandomForestClassifier(5, max_depth=3, random_state=1), names, raw)
    learned("forest_regressor", RandomForestRegressor(5, max_depth=3, random_state=1), d)
    learned("extra_trees_two_targets", ExtraTreesRegressor(4, max_depth=2, random_state=1), (d[0], np.c_[dy, -2 * dy]))
    learned("boosting_binary", GradientBoostingClassifier(n_estimators=6, random_state=1), b, raw)
    learned("boosting_binary_zipmap", GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=1), b)
    learned("boosting_three_classes", GradientBoostingClassifier(n_estimators=4, max_depth=2, random_state=1), i, raw)
    learned("boosting_exponential", GradientBoostingClassifier(n_estimators=4, max_depth=2, loss="exponential", random_state=1), b, raw)
    learned("boosting_regressor", GradientBoostingRegressor(n_estimators=6, max_depth=2, random_state=1), d)
    learned("boosting_scaled", make_pipeline(StandardScaler(), GradientBoostingRegressor(n_estimators=3, max_depth=2, random_state=1)), d)
    learned("tree_three_classes", DecisionTreeClassifier(max_depth=3, random_state=1), i, raw)
    learned("tree_regressor", DecisionTreeRegressor(max_depth=3, random_state=1), d)
    learned("adaboost", AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=3, random_state=1), i, raw)
    learned("bagging", BaggingClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=2, random_state=1), i, raw)
    learned("linear", LinearRegression(), d)
    learned("ridge_two_targets", Ridge(), (d[0], np.c_[dy, 2 * dy]))
    learned("elastic_net_minmax", make_pipeline(MinMaxScaler(), ElasticNet()), d)
    learned("kmeans", KMeans(3, n_init=1, random_state=1), (i[0] - i[0].mean(axis=0), None))
    learned("naive_bayes", GaussianNB(), i, raw)
    learned("calibrated", CalibratedClassifierCV(LogisticRegression(max_iter=300), cv=2), i, raw)
    learned("one_versus_rest", OneVsRestClassifier(LogisticRegression()), i, raw)
    learned("polynomial", make_pipeline(PolynomialFeatures(2), LinearRegression()), (d[0][:, :3], dy))
    learned("binarizer", make_pipeline(Binarizer(threshold=1.0), LogisticRegression()), i, raw)
    learned("bins", make_pipeline(KBinsDiscretizer(3, encode="ordinal"), LogisticRegression()), i, raw)
    holes = i[0].copy()
    holes[::3, 1] = np.nan
    learned("imputer", make_pipeline(SimpleImputer(), DecisionTreeClassifier(max_depth=2, random_state=1)), (holes, iy), raw)
    learned("tree_with_missing_values", DecisionTreeClassifier(max_depth=3, random_state=1), (holes, iy), raw)

    colour = np.array([["red"], ["green"], ["blue"]])[iy[rng.permutation(150)]]
    table = np.concatenate([ix[:, :2].astype(object), colour], axis=1)
    columns = ColumnTransformer([("n", StandardScaler(), [0, 1]), ("c", OneHotEncoder(handle_unknown="ignore"), [2])])
    mixed = make_pipeline(columns, LogisticRegression()).fit(table, iy)
    kinds = [("length", FloatTensorType([None, 1])), ("width", FloatTensorType([None, 1])), ("colour", StringTensorType([None, 1]))]
    onx = to_onnx(mixed, initial_types=kinds, target_opset=OPSET, options={"zipmap": False})
    given = {"length": ix[:6, 0:1].astype(np.float32), "width": ix[:6, 1:2].astype(np.float32), "colour": colour[:6].astype(object)}
    given["colour"][5] = "violet"
    vector("columns_one_hot_text", onx, given)

    counts = rng.integers(0, 9, (60, 3))
    integer = LogisticRegression().fit(counts, counts.sum(axis=1) > 12)
    onx = to_onnx(integer, initial_types=[("x", Int64TensorType([None, 3]))], target_opset=OPSET, options={"zipmap": False})
    vector("logistic_integer_inputs", onx, {"x": counts[:6]})


def learned(name, model, data, options=None) -> None:
    x, y = data
    model.fit(x, y)
    onx = to_onnx(
        model, initial_types=[("x", FloatTensorType([None, x.shape[1]]))], target_opset=OPSET, options=options
    )
    vector(name, onx, {"x": x[:: max(1, len(x) // 6)][:6]})


# --- single operators, with every attribute value that changes the result


def operators() -> None:
    x = rng.normal(size=(7, 3)).astype(np.float32)
    x[0] = [0.5, -0.25, 0.0]  # exactly on thresholds
    transforms = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]
    for transform in transforms:
        for case, ids, shift in [("one_column", [1] * 8, 0.3), ("two_columns", [0, 1] * 4, 0.3), ("three", [0, 1, 2, 0, 1, 2, 0, 1], 0.3)]:
            # With scores for both of two classes, onnxruntime answers 0 and 1 whatever the labels are.
            labels = {"one_column": [10, 20], "two_columns": [0, 1], "three": [10, 20, 30]}[case]
            for sign in ["mixed", "positive"]:
                if transform == "SOFTMAX_ZERO" and sign == "mixed":
                    continue
                if transform == "PROBIT":  # of a score of zero: onnxruntime answers NaN
                    continue
                base = [0.1] * (1 if case == "one_column" else len(labels))
                weights = np.linspace(0.05, 0.2, 8) if sign == "positive" else np.linspace(-0.6, 0.7, 8)
                one_op(
                    f"tree_classifier_{case}_{sign}_{transform.lower()}",
                    "TreeEnsembleClassifier",
                    {"x": x},
                    ["label", "scores"],
                    **trees("class", ids, weights),
                    classlabels_int64s=labels,
                    post_transform=transform,
                    **({"base_values": base} if transform == "NONE" else {}),
                )
        for case, rows in [("one", 1), ("two", 2), ("three", 3)]:
            if case == "one" and transform == "PROBIT":  # onnxruntime leaves half of the result unwritten
                continue
            one_op(
                f"linear_classifier_{case}_{transform.lower()}",
                "LinearClassifier",
                {"x": x},
                ["label", "scores"],
                coefficients=[round(v, 3) for v in rng.normal(size=3 * rows) * 0.1],
                intercepts=[0.4] * rows,
                classlabels_strings=["a", "b", "c"][: max(rows, 2)],
                post_transform=transform,
            )
        if transform != "PROBIT":  # onnxruntime answers NaN there for values outside 0..1
            one_op(
                f"linear_regressor_{transform.lower()}",
                "LinearRegressor",
                {"x": x},
                ["y"],
                coefficients=[0.1, 0.2, -0.3, 0.5, 0.1, 0.0],
                intercepts=[0.5, 0.25],
                targets=2,
                post_transform=transform,
            )
    for mode in ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]:
        one_op(f"tree_mode_{mode[7:].lower()}", "TreeEnsembleRegressor", {"x": x}, ["y"], **trees("target", [0] * 8, mode=mode), n_targets=1)
    modes = ["BRANCH_LT", "BRANCH_GT", "BRANCH_EQ"]
    one_op("tree_mode_mixed", "TreeEnsembleRegressor", {"x": x}, ["y"], **trees("target", [0] * 8, modes=modes), n_targets=1)
    missing = x.copy()
    missing[1, 0] = missing[2, 1] = missing[3] = np.nan
    one_op("tree_missing_tracks_true", "TreeEnsembleRegressor", {"x": missing}, ["y"], **trees("target", [0] * 8, tracks=[1, 0, 1]), n_targets=1)
    one_op("tree_missing", "TreeEnsembleRegressor", {"x": missing}, ["y"], **trees("target", [0] * 8), n_targets=1)
    for aggregate in ["SUM", "AVERAGE", "MIN", "MAX"]:
        for targets in [1, 2]:
            ids = [0] * 8 if targets == 1 else [0, 1] * 4
            one_op(
                f"tree_{aggregate.lower()}_{targets}",
                "TreeEnsembleRegressor",
                {"x": x},
                ["y"],
                **trees("target", ids),
                n_targets=targets,
                aggregate_function=aggregate,
                base_values=[0.5, -0.5][:targets],
            )
    one_op("scaler", "Scaler", {"x": x}, ["y"], offset=[0.1, 0.2, 0.3], scale=[2.0, 0.5, 1.5])
    one_op("scaler_one_value", "Scaler", {"x": x}, ["y"], offset=[0.1], scale=[2.0])
    one_op("imputer_value", "Imputer", {"x": missing}, ["y"], imputed_value_floats=[1.0, 2.0, 3.0], replaced_value_float=float("nan"))
    one_op("features", "ArrayFeatureExtractor", {"x": x, "i": np.array([2, 0], dtype=np.int64)}, ["y"])
    one_op("label_integer_to_text", "LabelEncoder", {"x": np.array([1, 5, 9], dtype=np.int64)}, ["y"], keys_int64s=[1, 5], values_strings=["one", "five"], default_string="other")
    one_op("label_text_to_float", "LabelEncoder", {"x": np.array(["b", "z"], dtype=object)}, ["y"], keys_strings=["a", "b"], values_floats=[0.5, 1.5], default_float=-2.0)
    one_op("one_hot_integer", "OneHotEncoder", {"x": np.array([[1], [3], [7]], dtype=np.int64)}, ["y"], cats_int64s=[1, 2, 3], zeros=1)

    plain()


def plain() -> None:
    """Pipelines of plain operators around one ml operator, so that our evaluator takes them."""
    x = (rng.normal(size=(4, 3)) * 2).astype(np.float32)
    chains = {
        "elementwise": ["Abs", "Neg", "Exp", "Sigmoid", "Tanh", "Relu", "Floor", "Ceil", "Sign", "Softplus", "Reciprocal"],
    }
    for name, ops in chains.items():
        nodes = [helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=[0.1], scale=[0.7])]
        for op in ops:
            nodes.append(helper.make_node(op, ["s"], [op.lower()]))
        vector(f"plain_{name}", graph(nodes, {"x": x}, [op.lower() for op in ops], {}), {"x": x})
    consts = {
        "row": np.array([[1.0, 2.0, 4.0]], np.float32),
        "column": np.array([[1.0], [2.0], [3.0], [5.0]], np.float32),
        "matrix": rng.normal(size=(3, 2)).astype(np.float32),
        "bias": np.array([0.5, -0.5], np.float32),
        "two": np.array(2.0, np.float32),
        "shape": np.array([0, -1, 1], np.int64),
        "first": np.array([1], np.int64),
        "starts": np.array([-1], np.int64),
        "ends": np.array([-4], np.int64),
        "steps": np.array([-2], np.int64),
        "index": np.array([2, -3], np.int64),
        "low": np.array(-0.5, np.float32),
        "high": np.array(0.75, np.float32),
    }
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain=ML, offset=[0.1], scale=[0.7]),
        helper.make_node("Add", ["s", "column"], ["add"]),
        helper.make_node("Sub", ["row", "s"], ["sub"]),
        helper.make_node("Mul", ["s", "two"], ["mul"]),
        helper.make_node("Div", ["s", "row"], ["div"]),
        helper.make_node("Pow", ["s", "two"], ["pow"]),
        helper.make_node("Max", ["s", "low", "mul"], ["max"]),
        helper.make_node("Min", ["s", "high"], ["min"]),
        helper.make_node("Sum", ["s", "mul", "row"], ["sum"]),
        helper.make_node("Clip", ["s", "low", "high"], ["clip"]),
        helper.make_node("Greater", ["s", "low"], ["greater"]),
        helper.make_node("LessOrEqual", ["s", "high"], ["less_or_equal"]),
        helper.make_node("And", ["greater", "less_or_equal"], ["and"]),
        helper.make_node("Not", ["and"], ["not"]),
        helper.make_node("Where", ["and", "s", "two"], ["where"]),
        helper.make_node("MatMul", ["s", "matrix"], ["matmul"]),
        helper.make_node("Gemm", ["s", "matrix", "bias"], ["gemm"], alpha=0.5, beta=2.0),
        helper.make_node("Gemm", ["matrix", "s"], ["gemm_transposed"], transA=1, transB=1),
        helper.make_node("Reshape", ["s", "shape"], ["reshape"]),
        helper.make_node("Transpose", ["s"], ["transpose"], perm=[1, 0]),
        helper.make_node("Concat", ["s", "mul"], ["concat"], axis=1),
        helper.make_node("Concat", ["s", "mul"], ["concat_rows"], axis=-2),
        helper.make_node("Slice", ["s", "starts", "ends", "first", "steps"], ["slice"]),
        helper.make_node("Gather", ["s", "index"], ["gather"], axis=1),
        helper.make_node("Softmax", ["s"], ["softmax"], axis=1),
        helper.make_node("ArgMax", ["s"], ["argmax"], axis=1, keepdims=0),
        helper.make_node("ArgMin", ["s"], ["argmin"], axis=0),
        helper.make_node("Flatten", ["reshape"], ["flatten"]),
        helper.make_node("Unsqueeze", ["s", "first"], ["unsqueeze"]),
        helper.make_node("Squeeze", ["unsqueeze", "first"], ["squeeze"]),
        helper.make_node("Shape", ["s"], ["shape_of"]),
        helper.make_node("Cast", ["mul"], ["cast"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["s", "first"], ["reduce_sum"], keepdims=0),
    ]
    wanted = [node.output[0] for node in nodes[1:]]
    for op in ["Mean", "Max", "Min", "Prod", "SumSquare", "LogSumExp", "L1", "L2"]:
        nodes.append(helper.make_node(f"Reduce{op}", ["s"], [f"reduce_{op.lower()}"], axes=[1]))
        wanted.append(f"reduce_{op.lower()}")
    nodes.append(helper.make_node("ReduceMean", ["s"], ["mean_of_all"], keepdims=0))
    vector("plain_shapes", graph(nodes, {"x": x}, [*wanted, "mean_of_all"], consts), {"x": x})


def trees(kind, ids, weights=None, mode="BRANCH_LEQ", modes=None, tracks=None) -> dict:
    """Two trees of depth 2; the weights of their eight leaves go to the targets or classes `ids`."""
    weights = np.linspace(-0.6, 0.7, 8) if weights is None else weights
    inner = modes or [mode] * 3
    return {
        "nodes_treeids": [0] * 7 + [1] * 7,
        "nodes_nodeids": list(range(7)) * 2,
        "nodes_featureids": [0, 1, 2, 0, 0, 0, 0] + [2, 0, 1, 0, 0, 0, 0],
        "nodes_modes": (inner + ["LEAF"] * 4) * 2,
        "nodes_values": [0.5, -0.25, 0.0, 0, 0, 0, 0] + [0.1, 0.5, -0.25, 0, 0, 0, 0],
        "nodes_truenodeids": [1, 3, 5, 0, 0, 0, 0] * 2,
        "nodes_falsenodeids": [2, 4, 6, 0, 0, 0, 0] * 2,
        "nodes_hitrates": [1.0] * 14,
        **({"nodes_missing_value_tracks_true": (tracks + [0] * 4) * 2} if tracks else {}),
        f"{kind}_treeids": [0] * 4 + [1] * 4,
        f"{kind}_nodeids": [3, 4, 5, 6] * 2,
        f"{kind}_ids": ids,
        f"{kind}_weights": [round(float(weight), 4) for weight in weights],
    }


def one_op(name, op, inputs, outputs, **attributes) -> None:
    node = helper.make_node(op, list(inputs), outputs, domain=ML, **attributes)
    vector(name, graph([node], inputs, outputs, {}), inputs)


# --- networks, for rten


def networks() -> None:
    def weight(*shape):
        return (rng.normal(size=shape) * 0.3).astype(np.float32)

    image = rng.normal(size=(2, 1, 6, 6)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["g"], transB=1),
        helper.make_node("Softmax", ["g"], ["y"], axis=1),
    ]
    consts = {"w": weight(3, 1, 3, 3), "b": weight(3), "w2": weight(4, 27), "b2": weight(4)}
    vector("network_cnn", graph(nodes, {"x": image}, ["y"], consts), {"x": image}, "network")

    text = rng.normal(size=(5, 2, 4)).astype(np.float32)  # steps, rows, features
    nodes = [helper.make_node("LSTM", ["x", "w", "r", "b"], ["all", "last"], hidden_size=3)]
    consts = {"w": weight(1, 12, 4), "r": weight(1, 12, 3), "b": weight(1, 24)}
    vector("network_lstm", graph(nodes, {"x": text}, ["all", "last"], consts, rows_first=False), {"x": text}, "network")

    rows = rng.normal(size=(2, 5, 8)).astype(np.float32)  # rows, positions, width
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gain", "shift"], ["n"], axis=-1),
        *[helper.make_node("MatMul", ["n", f"w{k}"], [k]) for k in "qkv"],
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["dots"]),
        helper.make_node("Div", ["dots", "root"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["attention", "v"], ["heads"]),
        helper.make_node("Add", ["x", "heads"], ["residual"]),
        helper.make_node("MatMul", ["residual", "wo"], ["y"]),
    ]
    consts = {"gain": weight(8), "shift": weight(8), "root": np.array(np.sqrt(8), np.float32)}
    consts |= {f"w{k}": weight(8, 8) for k in "qkvo"}
    vector("network_attention", graph(nodes, {"x": rows}, ["y"], consts), {"x": rows}, "network")

    flat = rng.normal(size=(4, 6)).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("HardSwish", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"]),
    ]
    consts = {"w": weight(6, 5), "b": weight(5), "w2": weight(5, 2), "b2": weight(2)}
    vector("network_dense", graph(nodes, {"x": flat}, ["y"], consts), {"x": flat}, "network")


# --- writing


def graph(nodes, inputs, outputs, consts, rows_first=True):
    kinds = {np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int64: TensorProto.INT64, np.object_: TensorProto.STRING}
    takes = []
    for name, value in inputs.items():
        shape = list(value.shape)
        if rows_first and name != "i":
            shape[0] = "rows"
        takes.append(helper.make_tensor_value_info(name, kinds[value.dtype.type], shape))
    gives = [onnx.ValueInfoProto(name=name) for name in outputs]
    made = helper.make_graph(nodes, "g", takes, gives, [numpy_helper.from_array(v, k) for k, v in consts.items()])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid(d, v) for d, v in OPSET.items()], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model)
    for output in inferred.graph.output:
        if not output.HasField("type"):
            output.type.tensor_type.elem_type = TensorProto.FLOAT
    return inferred


def vector(name, model, inputs, engine="classical") -> None:
    data = model.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    outputs = session.run(None, inputs)
    names = [output.name for output in session.get_outputs()]
    content = {
        "engine": engine,
        "model": base64.b64encode(data).decode(),
        "inputs": [tensor(key, value) for key, value in inputs.items()],
        "outputs": [tensor(key, value) for key, value in zip(names, outputs)],
    }
    (OUT / f"{name}.json").write_text(json.dumps(content, separators=(",", ":")) + "\n")


def tensor(name, value) -> dict:
    if isinstance(value, list):  # ZipMap: one dictionary per row
        classes = list(value[0])
        value = np.array([[row[key] for key in classes] for row in value], dtype=np.float32)
        return {**tensor(name, value), "classes": [str(key) for key in classes]}
    if value.dtype.kind in "OU":
        return {"name": name, "type": "text", "shape": list(value.shape), "data": [str(v) for v in value.ravel()]}
    digits = 9 if value.dtype == np.float32 else 17
    data = [number(v, digits) for v in value.ravel().tolist()]
    return {"name": name, "type": TYPES[value.dtype.name], "shape": list(value.shape), "data": data}


def number(value, digits):
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
