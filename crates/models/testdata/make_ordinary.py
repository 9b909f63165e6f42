"""Ordinary models of many kinds, made by the real libraries: none of them should be refused by `hotcell model scan`.

    python make_ordinary.py FOLDER

Writes one file or folder for each model, and prints its name. What a library that is not installed would make is left
out; the caller counts.
"""

import gzip
import io
import json
import pathlib
import pickle
import sys
import tarfile
import warnings
import zipfile

import numpy as np

warnings.filterwarnings("ignore")
OUT = pathlib.Path(sys.argv[1])
OUT.mkdir(parents=True, exist_ok=True)
RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(120, 6))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
Z = X @ np.arange(6.0) + RANDOM.normal(size=120)


def said(name):
    print(name, flush=True)


def make_numpy():
    np.save(OUT / "plain.npy", X)
    said("plain.npy")
    np.save(OUT / "fortran.npy", np.asfortranarray(X.astype(np.float32)))
    said("fortran.npy")
    np.save(OUT / "records.npy", np.array([(1, 2.0, "ab")], dtype=[("a", "<i4"), ("b", "<f8"), ("c", "<U4")]))
    said("records.npy")
    np.savez(OUT / "weights.npz", w=X, b=Y, names=np.array(["a", "bc"]))
    said("weights.npz")
    np.savez_compressed(OUT / "packed.npz", w=np.zeros((2000, 500)), b=Y)
    said("packed.npz")
    for protocol in range(6):
        name = f"arrays-{protocol}.pkl"
        data = {"w": X, "f": np.asfortranarray(X), "i": np.int64(3), "s": np.array(["a", "b"]), "x": [1.5, None, True, -(2**80)],
                "t": (1, 2, 3, 4), "set": {1, 2}, "bytes": b"\x00\x01", "big": bytearray(b"abc"), "c": 1 + 2j, "dt": X.dtype,
                "o": np.array([1, "a", None], dtype=object)}
        (OUT / name).write_bytes(pickle.dumps(data, protocol))
        said(name)
    (OUT / "generator.pkl").write_bytes(pickle.dumps([np.random.default_rng(3), np.random.RandomState(3)]))
    said("generator.pkl")


def make_sklearn():
    import joblib
    from sklearn import cluster, compose, cross_decomposition, decomposition, discriminant_analysis, ensemble
    from sklearn import feature_extraction, feature_selection, gaussian_process, impute, isotonic, linear_model, manifold
    from sklearn import mixture, model_selection, multiclass, naive_bayes, neighbors, neural_network, pipeline
    from sklearn import preprocessing, svm, tree, calibration, kernel_approximation, random_projection, kernel_ridge

    texts = ["a red fox", "the blue sea", "a blue fox", "red and blue"] * 30
    models = {
        "logistic": linear_model.LogisticRegression().fit(X, Y),
        "ridge": linear_model.Ridge().fit(X, Z),
        "lasso-cv": linear_model.LassoCV(cv=3).fit(X, Z),
        "sgd": linear_model.SGDClassifier().fit(X, Y),
        "huber": linear_model.HuberRegressor().fit(X, Z),
        "poisson": linear_model.PoissonRegressor().fit(X, np.abs(Z)),
        "ransac": linear_model.RANSACRegressor(random_state=0).fit(X, Z),
        "bayesian-ridge": linear_model.BayesianRidge().fit(X, Z),
        "tree": tree.DecisionTreeClassifier().fit(X, Y),
        "forest": ensemble.RandomForestClassifier(20).fit(X, Y),
        "extra-trees": ensemble.ExtraTreesRegressor(20).fit(X, Z),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=10).fit(X, Y),
        "hist-boosting": ensemble.HistGradientBoostingClassifier(max_iter=10).fit(X, Y),
        "hist-boosting-regressor": ensemble.HistGradientBoostingRegressor(max_iter=10).fit(X, Z),
        "ada": ensemble.AdaBoostClassifier(n_estimators=5).fit(X, Y),
        "bagging": ensemble.BaggingClassifier(n_estimators=5).fit(X, Y),
        "isolation-forest": ensemble.IsolationForest(n_estimators=10).fit(X),
        "voting": ensemble.VotingClassifier([("a", linear_model.LogisticRegression()), ("b", naive_bayes.GaussianNB())]).fit(X, Y),
        "stacking": ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor())]).fit(X, Z),
        "svc": svm.SVC(probability=False).fit(X, Y),
        "linear-svr": svm.LinearSVR().fit(X, Z),
        "one-class": svm.OneClassSVM().fit(X),
        "knn": neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(X, Y),
        "knn-ball": neighbors.KNeighborsRegressor(algorithm="ball_tree").fit(X, Z),
        "knn-brute": neighbors.KNeighborsRegressor(algorithm="brute").fit(X, Z),
        "lof": neighbors.LocalOutlierFactor(novelty=True).fit(X),
        "mlp": neural_network.MLPClassifier((8,), max_iter=30, random_state=0).fit(X, Y),
        "gaussian-nb": naive_bayes.GaussianNB().fit(X, Y),
        "multinomial-nb": naive_bayes.MultinomialNB().fit(np.abs(X), Y),
        "lda": discriminant_analysis.LinearDiscriminantAnalysis().fit(X, Y),
        "gp": gaussian_process.GaussianProcessRegressor().fit(X, Z),
        "mixture": mixture.GaussianMixture(2).fit(X),
        "kmeans": cluster.KMeans(3, n_init=2).fit(X),
        "dbscan": cluster.DBSCAN().fit(X),
        "pca": decomposition.PCA(2).fit(X),
        "nmf": decomposition.NMF(2, max_iter=50).fit(np.abs(X)),
        "topics": decomposition.LatentDirichletAllocation(2, max_iter=2, random_state=0).fit(np.abs(X)),
        "pls": cross_decomposition.PLSRegression(2).fit(X, Z),
        "isotonic": isotonic.IsotonicRegression().fit(X[:, 0], Z),
        "calibrated": calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3).fit(X, Y),
        "one-vs-rest": multiclass.OneVsRestClassifier(linear_model.LogisticRegression()).fit(X, Y),
        "search": model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1.0]}, cv=3).fit(X, Z),
        "text": pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression()).fit(texts, Y),
        "counts": feature_extraction.text.CountVectorizer().fit(texts),
        "hashing": feature_extraction.text.HashingVectorizer(n_features=16).fit(texts),
        "dict": feature_extraction.DictVectorizer().fit([{"a": 1, "b": "x"}]),
        "columns": pipeline.Pipeline([("prepare", compose.ColumnTransformer([("n", preprocessing.StandardScaler(), [0, 1]),
                    ("c", preprocessing.OneHotEncoder(handle_unknown="ignore"), [2])])),
                    ("model", linear_model.LogisticRegression())]).fit(np.c_[X[:, :2], np.round(X[:, 2])], Y),
        "impute": pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.RobustScaler(), linear_model.Ridge()).fit(X, Z),
        "knn-impute": impute.KNNImputer().fit(X),
        "select": pipeline.make_pipeline(feature_selection.VarianceThreshold(), linear_model.Ridge()).fit(X, Z),
        "quantile": preprocessing.QuantileTransformer(n_quantiles=20).fit(X),
        "power": preprocessing.PowerTransformer().fit(X),
        "polynomial": pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()).fit(X, Z),
        "spline": preprocessing.SplineTransformer().fit(X),
        "labels": preprocessing.LabelEncoder().fit(["a", "b"]),
        "nystroem": kernel_approximation.Nystroem(n_components=5).fit(X),
        "projection": random_projection.GaussianRandomProjection(3).fit(X),
        "kernel-ridge": kernel_ridge.KernelRidge().fit(X, Z),
    }
    for place, (name, model) in enumerate(models.items()):
        if place % 3 == 0:
            path = OUT / f"{name}.pkl"
            path.write_bytes(pickle.dumps(model, place % 6))
        elif place % 3 == 1:
            path = OUT / f"{name}.joblib"
            joblib.dump(model, path)
        else:
            path = OUT / f"{name}.joblib.z"
            joblib.dump(model, path, compress=("zlib", 3) if place % 2 else ("gzip", 3))
        said(path.name)
    joblib.dump({"w": X, "f": np.asfortranarray(X), "e": np.zeros((0, 3)), "o": np.array(["a", 1], dtype=object),
                 "large": np.zeros(200_000)}, OUT / "arrays.joblib")
    said("arrays.joblib")
    joblib.dump(models["forest"], OUT / "forest-2.joblib", protocol=2)
    said("forest-2.joblib")


def make_tables():
    import pandas as pd

    frame = pd.DataFrame({"a": X[:, 0], "b": Y, "c": ["x", "y"] * 60})
    for protocol in (2, 5):
        name = f"frame-{protocol}.pkl"
        frame.to_pickle(OUT / name, protocol=protocol)
        said(name)


def make_boosters():
    import lightgbm
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=5).fit(X, Y)
    (OUT / "xgboost.pkl").write_bytes(pickle.dumps(model))
    said("xgboost.pkl")
    model.save_model(OUT / "xgboost.json")
    said("xgboost.json")
    light = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(X, Y)
    (OUT / "lightgbm.pkl").write_bytes(pickle.dumps(light))
    said("lightgbm.pkl")
    light.booster_.save_model(OUT / "lightgbm.txt")
    said("lightgbm.txt")


def make_safetensors():
    from safetensors.numpy import save_file

    save_file({"w": X, "b": Y, "h": X.astype(np.float16), "empty": np.zeros((0, 2))}, OUT / "model.safetensors", {"format": "np"})
    said("model.safetensors")


def make_onnx():
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier

    forest = to_onnx(RandomForestClassifier(10).fit(X, Y), X[:1].astype(np.float32))
    (OUT / "forest.onnx").write_bytes(forest.SerializeToString())
    said("forest.onnx")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Gelu", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 64])],
                              [helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 64])],
                              [numpy_helper.from_array(np.ones((64, 64), np.float32), "w")])
    model = helper.make_model(graph)
    onnx.save(model, OUT / "network.onnx")
    said("network.onnx")
    (OUT / "external").mkdir(exist_ok=True)
    onnx.save(model, OUT / "external/network.onnx", save_as_external_data=True, location="network.onnx.data", size_threshold=0)
    said("external")


def make_gguf():
    import gguf

    writer = gguf.GGUFWriter(OUT / "tiny.gguf", "llama")
    writer.add_context_length(128)
    writer.add_token_list(["a", "b", "c"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_chat_template(CHATML)
    writer.add_tensor("w", X.astype(np.float32))
    writer.add_tensor("half", X.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    said("tiny.gguf")


CHATML = """{%- if messages[0]['role'] == 'system' %}{%- set system = messages[0]['content'] %}{%- else %}{%- set system = 'You are a helper.' %}{%- endif %}
{{- bos_token }}{%- for message in messages %}{%- if loop.first and message['role'] != 'user' and not loop.last %}{{ raise_exception('odd') }}{%- endif %}
{{- '<|im_start|>' + message.role + '\\n' + (message['content'] | trim) + '<|im_end|>' + '\\n' }}
{%- if message.tool_calls is defined %}{% for tool in message.tool_calls %}{{ tool.function | tojson }}{% endfor %}{% endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def make_folders():
    from safetensors.numpy import save_file

    folder = OUT / "language-model"
    folder.mkdir(exist_ok=True)
    save_file({"w": X}, folder / "model-00001-of-00002.safetensors", {"format": "pt"})
    save_file({"b": Y}, folder / "model-00002-of-00002.safetensors", {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "model-00001-of-00002.safetensors"}}))
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": 6}))
    (folder / "generation_config.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHATML, "model_max_length": 4096}))
    (folder / "chat_template.jinja").write_text(CHATML)
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0, "\u0120b": 1}}}))
    (folder / "vocab.txt").write_text("[PAD]\ncat\ndog\nRat\n(x\n.\n")
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    (folder / "README.md").write_text("# A model\n\nIt says hello.\n")
    (folder / "LICENSE").write_text("Do as you like.\n")
    said("language-model")
    packed = OUT / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "language-model")
    said("packed.tar.gz")
    with zipfile.ZipFile(OUT / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"model/{path.name}")
    said("packed.zip")
    with gzip.open(OUT / "logistic.pkl.gz", "wb") as file:
        file.write(pickle.dumps({"coefficients": X, "classes": [0, 1]}))
    said("logistic.pkl.gz")


def make_torch():
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(),
                              torch.nn.Linear(16, 2))
    torch.save(net.state_dict(), OUT / "state.pt")
    said("state.pt")
    torch.save(net.state_dict(), OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    said("legacy.pth")
    torch.save(net, OUT / "whole.pt")
    said("whole.pt")
    lstm = torch.nn.LSTM(4, 5, 2)
    optimizer = torch.optim.Adam(lstm.parameters())
    lstm(torch.zeros(2, 1, 4))[0].sum().backward()
    optimizer.step()
    torch.save({"model": lstm.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.5,
                "half": torch.zeros(3, dtype=torch.float16), "brain": torch.zeros(3, dtype=torch.bfloat16),
                "parameter": torch.nn.Parameter(torch.ones(2)), "size": torch.Size([1, 2]), "dtype": torch.float32,
                "device": torch.device("cpu"), "view": torch.arange(10)[2:5], "bool": torch.tensor([True])}, OUT / "checkpoint.ckpt")
    said("checkpoint.ckpt")
    torch.save(torch.nn.TransformerEncoderLayer(8, 2, 16).state_dict(), OUT / "pytorch_model.bin")
    said("pytorch_model.bin")


for make in (make_numpy, make_sklearn, make_tables, make_boosters, make_safetensors, make_onnx, make_gguf, make_folders, make_torch):
    try:
        make()
    except ImportError as error:
        print(f"left out: {make.__name__}: {error}", file=sys.stderr)
