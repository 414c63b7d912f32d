"""Makes the models of this folder and what onnxruntime predicts with them.

    pip install scikit-learn skl2onnx onnxmltools lightgbm xgboost catboost tokenizers onnxruntime pyarrow pandas
    python make.py [step …]

Everything is trained on seeded synthetic data. `name.onnx` is the export, `name.parquet` has a column for each feature in the
model's order, then `label` and `p0`, `p1`, … of a classifier, or `value` of a regressor. Before a file is written, onnxruntime must
agree with the library that trained the model. `name.library.onnx` is for onnxruntime alone. `tokens.onnx` and `tokens.json` are a
network over tokens and its tokenizer.
"""

import pathlib
import tempfile

import catboost
import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import tokenizers
import xgboost
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, SVR, NuSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

make_attribute = onnx.helper.make_attribute


def plain_attribute(key, value, *args, **kwargs):
    """The exporter of histogram boosting passes NumPy's integers and truth values, which onnx does not take."""
    if isinstance(value, list):
        value = [item.item() if isinstance(item, np.generic) else item for item in value]
        value = [int(item) if isinstance(item, bool) else item for item in value]
    return make_attribute(key, value, *args, **kwargs)


onnx.helper.make_attribute = plain_attribute

HERE = pathlib.Path(__file__).parent
ROWS, FEATURES = 200, 6


def data(classes=2, regression=False):
    if regression:
        x, y = make_regression(600, FEATURES, noise=4, random_state=5)
        y = y / 50
    else:
        x, y = make_classification(600, FEATURES, n_informative=5, n_redundant=1, n_classes=classes, random_state=5)
    return x.astype(np.float32), y


def inputs(session, table):
    """The table's columns as the session wants them."""
    given, at = {}, 0
    for port in session.get_inputs():
        kind = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64, "tensor(string)": object}[port.type]
        width = port.shape[1] if len(port.shape) > 1 and isinstance(port.shape[1], int) else table.shape[1]
        given[port.name] = table.iloc[:, at : at + width].to_numpy(kind)
        at += width
    return given


def write(name, model, table, predicted=None, probabilities=None):
    """Writes the model and onnxruntime's predictions, after a look at those of the library."""
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data)
    outputs = session.run(None, inputs(session, table))
    expected = table.copy()
    if len(outputs) == 1:
        expected["value"] = np.asarray(outputs[0], dtype=np.float64).reshape(len(table))
        if predicted is not None:
            np.testing.assert_allclose(expected["value"], predicted, atol=1e-4, rtol=1e-5)
    else:
        label, scores = outputs
        if isinstance(scores, list):
            scores = np.array([[row[key] for key in row] for row in scores])
        expected["label"] = np.asarray(label).reshape(len(table))
        if probabilities is not None:
            np.testing.assert_allclose(scores, probabilities, atol=1e-5)
            assert (expected["label"].to_numpy() == predicted).mean() > 0.99
        for at in range(scores.shape[1]):
            expected[f"p{at}"] = scores[:, at].astype(np.float64)
    (HERE / f"{name}.onnx").write_bytes(data)
    pq.write_table(pa.Table.from_pandas(expected, preserve_index=False), HERE / f"{name}.parquet", compression="zstd")
    print(f"{name:28} {len(data):>8} bytes  {sorted({node.op_type for node in model.graph.node})}")


def frame(x):
    return pd.DataFrame(x[:ROWS], columns=[f"f{at}" for at in range(x.shape[1])])


def sklearn_model(name, estimator, classes=2, regression=False, labels=None, zipmap=True, missing=False, double=False, opset=None):
    x, y = data(classes, regression)
    if missing:
        x[np.random.default_rng(3).random(x.shape) < 0.1] = np.nan
    if double:
        x = x.astype(np.float64)
    if labels:
        y = np.array(labels)[y]
    estimator.fit(x, y)
    kind = DoubleTensorType if double else FloatTensorType
    classifier = hasattr(estimator, "predict_proba")
    options = {"zipmap": zipmap} if classifier else {"zipmap": False} if isinstance(estimator, SVC) else None
    model = to_onnx(estimator, initial_types=[("X", kind([None, FEATURES]))], options=options, target_opset=opset)
    table = frame(x)
    probabilities = estimator.predict_proba(x[:ROWS]) if classifier else None
    write(name, model, table, estimator.predict(x[:ROWS]), probabilities)


def scikit_learn():
    small = dict(n_estimators=8, random_state=1)
    sklearn_model("gb_binary", GradientBoostingClassifier(max_depth=3, **small))
    sklearn_model("gb_multiclass", GradientBoostingClassifier(max_depth=3, **small), classes=3, zipmap=False)
    sklearn_model("gb_regression", GradientBoostingRegressor(max_depth=3, **small), regression=True)
    sklearn_model("rf_binary", RandomForestClassifier(max_depth=5, **small))
    sklearn_model("rf_multiclass_text", RandomForestClassifier(max_depth=5, **small), classes=3, labels=["low", "mid", "high"])
    sklearn_model("rf_regression", RandomForestRegressor(max_depth=5, **small), regression=True)
    sklearn_model("extra_trees_regression", ExtraTreesRegressor(max_depth=5, **small), regression=True)
    sklearn_model("tree_binary", DecisionTreeClassifier(max_depth=4, random_state=1), zipmap=False)
    sklearn_model("tree_regression", DecisionTreeRegressor(max_depth=4, random_state=1), regression=True)
    sklearn_model("ada_boost", AdaBoostClassifier(n_estimators=5, random_state=1), zipmap=False)
    hist = dict(max_iter=8, max_depth=4, random_state=1)
    sklearn_model("hist_gb_binary_missing", HistGradientBoostingClassifier(**hist), missing=True)
    sklearn_model("hist_gb_multiclass", HistGradientBoostingClassifier(**hist), classes=3, zipmap=False)
    sklearn_model("hist_gb_regression_missing", HistGradientBoostingRegressor(**hist), regression=True, missing=True)
    sklearn_model("logistic_binary", make_pipeline(StandardScaler(), LogisticRegression()))
    sklearn_model("logistic_binary_text", LogisticRegression(), labels=["good", "bad"])
    sklearn_model("logistic_multiclass", make_pipeline(MinMaxScaler(), LogisticRegression()), classes=3, zipmap=False)
    sklearn_model("logistic_imputed", make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression()), missing=True)
    sklearn_model("sgd_log_loss", SGDClassifier(loss="log_loss", random_state=1), classes=3, zipmap=False)
    sklearn_model("naive_bayes", GaussianNB(), classes=3, zipmap=False)
    sklearn_model("linear_regression", LinearRegression(), regression=True)
    sklearn_model("ridge_double", make_pipeline(StandardScaler(), Ridge()), regression=True, double=True)
    sklearn_model("normalized_logistic", make_pipeline(Normalizer("l2"), LogisticRegression()), zipmap=False)
    mlp = dict(hidden_layer_sizes=(16, 8), max_iter=200, random_state=1)
    sklearn_model("mlp_binary", MLPClassifier(**mlp), zipmap=False)
    sklearn_model("mlp_multiclass_text", MLPClassifier(activation="tanh", **mlp), classes=3, labels=["a", "b", "c"])
    sklearn_model("mlp_regression", MLPRegressor(activation="logistic", **mlp), regression=True)


def mixed():
    """Numbers, some missing, and text: an input for each column."""
    rng = np.random.default_rng(11)
    count = 600
    table = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, count).astype(np.float32),
            "age": rng.integers(18, 90, count).astype(np.float32),
            "country": rng.choice(["de", "fr", "it"], count),
            "channel": rng.choice(["web", "shop"], count),
        }
    )
    risk = 0.02 * table["amount"] + (table["country"] == "it") - 0.02 * table["age"] + (table["channel"] == "web")
    fraud = (risk + rng.normal(0, 0.5, count) > 0.9).astype(int)
    table.loc[rng.random(count) < 0.1, "age"] = np.nan
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    for name, encoder, last in [
        ("mixed_one_hot", OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
        ("mixed_ordinal", OrdinalEncoder(), RandomForestClassifier(8, max_depth=4, random_state=1)),
    ]:
        columns = ColumnTransformer([("numbers", numbers, ["amount", "age"]), ("text", encoder, ["country", "channel"])])
        pipeline = make_pipeline(columns, last).fit(table, fraud)
        types = [(column, (StringTensorType if column in ("country", "channel") else FloatTensorType)([None, 1])) for column in table]
        model = to_onnx(pipeline, initial_types=types, options={"zipmap": False})
        rows = table[:ROWS]
        write(name, model, rows, pipeline.predict(rows), pipeline.predict_proba(rows))


def boosters():
    kind = [("input", ToolsFloat([None, FEATURES]))]
    for classes, name in [(2, "binary"), (3, "multiclass")]:
        x, y = data(classes)
        missing = x.copy()
        missing[np.random.default_rng(3).random(x.shape) < 0.1] = np.nan
        model = lightgbm.LGBMClassifier(n_estimators=8, max_depth=4, verbose=-1, random_state=1).fit(missing, y)
        exported = convert_lightgbm(model, initial_types=kind, zipmap=classes == 2, target_opset=15)
        write(f"lightgbm_{name}", exported, frame(missing), model.predict(missing[:ROWS]), model.predict_proba(missing[:ROWS]))
        model = xgboost.XGBClassifier(n_estimators=8, max_depth=4, random_state=1, base_score=0.5).fit(missing, y)
        exported = convert_xgboost(model, initial_types=kind, target_opset=15)
        write(f"xgboost_{name}", exported, frame(missing), model.predict(missing[:ROWS]), model.predict_proba(missing[:ROWS]))
    x, y = data(regression=True)
    model = lightgbm.LGBMRegressor(n_estimators=8, max_depth=4, verbose=-1, random_state=1).fit(x, y)
    write("lightgbm_regression", convert_lightgbm(model, initial_types=kind, target_opset=15), frame(x), model.predict(x[:ROWS]))
    model = xgboost.XGBRegressor(n_estimators=8, max_depth=4, random_state=1, base_score=0.5).fit(x, y)
    write("xgboost_regression", convert_xgboost(model, initial_types=kind, target_opset=15), frame(x), model.predict(x[:ROWS]))


def vector_machines():
    sklearn_model("svm_binary", SVC())
    sklearn_model("svm_binary_poly", SVC(kernel="poly", degree=2, coef0=1.0), labels=["no", "yes"])
    sklearn_model("svm_multiclass_probabilities", SVC(probability=True, random_state=1), classes=3, zipmap=False)
    sklearn_model("svm_binary_probabilities", NuSVC(probability=True, random_state=1), zipmap=False)
    sklearn_model("svm_multiclass", SVC(kernel="sigmoid"), classes=3)
    sklearn_model("svm_regression", SVR(), regression=True)
    sklearn_model("svm_linear_regression", SVR(kernel="linear", C=0.1), regression=True)


def catboosts():
    for name, classes in [("binary", 2), ("multiclass", 3), ("regression", None)]:
        x, y = data(classes or 2, regression=classes is None)
        kind = catboost.CatBoostRegressor if classes is None else catboost.CatBoostClassifier
        model = kind(iterations=8, depth=3, verbose=False, random_seed=1, allow_writing_files=False).fit(x, y)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.onnx"
            model.save_model(str(path), format="onnx")
            exported = onnx.load(path)
        predicted = model.predict(x[:ROWS]).reshape(-1)
        write(f"catboost_{name}", exported, frame(x), predicted, model.predict_proba(x[:ROWS]) if classes else None)


def trees_of_version_5():
    """No exporter writes them yet: two trees by hand, with a branch of each kind, one of them by membership in a set."""
    tensor = onnx.numpy_helper.from_array
    for name, kind in [("float", np.float32), ("double", np.float64)]:
        node = onnx.helper.make_node(
            "TreeEnsemble", ["X"], ["Y"], domain="ai.onnx.ml", aggregate_function=1, n_targets=1, post_transform=0, tree_roots=[0, 3],
            nodes_featureids=[0, 1, 2, 3, 4, 5], nodes_modes=tensor(np.array([0, 6, 3, 2, 6, 5], np.uint8)),
            nodes_splits=tensor(np.array([0.1, 0, -0.2, 0.3, 0, 1.0], kind)),
            nodes_truenodeids=[1, 0, 2, 4, 4, 5], nodes_trueleafs=[0, 1, 1, 0, 1, 1],
            nodes_falsenodeids=[2, 1, 3, 5, 6, 7], nodes_falseleafs=[0, 1, 1, 0, 1, 1],
            nodes_missing_value_tracks_true=[0, 0, 1, 0, 0, 0],
            membership_values=tensor(np.array([1, 2, 5, np.nan, 0, 3, np.nan], kind)),
            leaf_targetids=[0] * 8, leaf_weights=tensor(np.linspace(-1, 1, 8).astype(kind)),
        )
        element = onnx.TensorProto.FLOAT if kind == np.float32 else onnx.TensorProto.DOUBLE
        value = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph([node], "trees", [value("X", element, [None, FEATURES])], [value("Y", element, [None, 1])])
        opsets = [onnx.helper.make_opsetid("ai.onnx.ml", 5), onnx.helper.make_opsetid("", 21)]
        rng = np.random.default_rng(7)
        x = rng.normal(0, 1, (ROWS, FEATURES))
        x[:, [1, 4, 5]] = rng.integers(0, 6, (ROWS, 3))
        x[rng.random(ROWS) < 0.1, 2] = np.nan
        write(f"trees_5_{name}", onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), frame(x.astype(kind)))


TEXTS = [
    "A warm, funny and clever film!", "Dull and far too long.", "I loved every minute of it", "Badly acted, badly written.",
    "what a GREAT day out", "Not good. Not good at all", "Charming story, lovely music", "a waste of time and money",
    "The best meal we had this year", "cold food and rude staff", "Works well; would buy it again", "it broke after two days...",
    "", "größer ist nicht besser", "wow wow wow", "42 reasons to stay home",
]


def texts():
    label = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0]
    table = pd.DataFrame({"text": TEXTS})
    for name, vectorizer, last in [
        ("text_words", TfidfVectorizer(), LogisticRegression(C=10)),
        ("text_pairs", TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern="[a-zA-Z]+"), LogisticRegression(C=10)),
        ("text_counts", CountVectorizer(lowercase=False, token_pattern="[a-zA-Z]+"), MultinomialNB()),
        ("text_characters", TfidfVectorizer(analyzer="char", ngram_range=(2, 3)), RandomForestClassifier(4, max_depth=4, random_state=1)),
    ]:
        pipeline = make_pipeline(vectorizer, last).fit(TEXTS, label)
        model = to_onnx(pipeline, initial_types=[("text", StringTensorType([None, 1]))], options={"zipmap": False})
        # Words of one letter are words for the exporter and none for scikit-learn, so only onnxruntime says what is right.
        write(name, model, table)


def library():
    """Networks that onnxruntime alone evaluates."""
    x, y = data(3)
    neighbours = KNeighborsClassifier().fit(x, np.array(["low", "mid", "high"])[y])
    model = to_onnx(neighbours, x[:1], options={"zipmap": False}, target_opset={"": 15, "ai.onnx.ml": 3})
    write("nearest_neighbours.library", model, frame(x), neighbours.predict(x[:ROWS]), neighbours.predict_proba(x[:ROWS]))
    rng = np.random.default_rng(2)
    tensor, value = onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Conv", ["image", "kernel"], ["maps"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Relu", ["maps"], ["lit"]),
        onnx.helper.make_node("GlobalAveragePool", ["lit"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["flat"]),
        onnx.helper.make_node("MatMul", ["flat", "weights"], ["value"]),
    ]
    constants = [
        tensor(rng.normal(0, 1, (4, 2, 3, 3)).astype(np.float32), "kernel"),
        tensor(rng.normal(0, 1, (4, 1)).astype(np.float32), "weights"),
    ]
    ends = [value("image", onnx.TensorProto.FLOAT, [None, 2, 4, 4])], [value("value", onnx.TensorProto.FLOAT, [None, 1])]
    graph = onnx.helper.make_graph(nodes, "images", *ends, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    pixels = rng.normal(0, 1, (ROWS, 32)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    table = frame(pixels)
    table["value"] = session.run(None, {"image": pixels.reshape(-1, 2, 4, 4)})[0].reshape(-1).astype(np.float64)
    (HERE / "images.library.onnx").write_bytes(model.SerializeToString())
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), HERE / "images.library.parquet", compression="zstd")


def tokens():
    """A network over tokens: a vector a word and one more for its place, mixed by a hidden layer."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "##ly", "film", "the", "a", "not", "is", "was", ".", "!", "great", "dull"]
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    tokenizer.save(str(HERE / "tokens.json"))
    rng = np.random.default_rng(4)
    tensor, value = onnx.numpy_helper.from_array, onnx.helper.make_tensor_value_info
    constants = [
        tensor(rng.normal(0, 1, (len(words), 8)).astype(np.float32), "vectors"),
        tensor(rng.normal(0, 1, (8, 8)).astype(np.float32), "weights"),
    ]
    nodes = [
        onnx.helper.make_node("Gather", ["vectors", "input_ids"], ["embedded"]),
        onnx.helper.make_node("MatMul", ["embedded", "weights"], ["mixed"]),
        onnx.helper.make_node("Tanh", ["mixed"], ["last_hidden_state"]),
    ]
    inputs = [value(name, onnx.TensorProto.INT64, ["batch", "tokens"]) for name in ["input_ids", "attention_mask"]]
    outputs = [value("last_hidden_state", onnx.TensorProto.FLOAT, ["batch", "tokens", 8])]
    graph = onnx.helper.make_graph(nodes, "tokens", inputs, outputs, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (HERE / "tokens.onnx").write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(model.SerializeToString())
    said = ["The film was good!", "a badly dull film", "NOT great", "", "café — is it good?", "good good good good good good good good"]
    vectors = []
    for text in said:
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        hidden = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]
        mean = hidden.mean(axis=0)
        vectors.append((mean / np.linalg.norm(mean)).tolist())
    pq.write_table(pa.table({"text": said, "vector": vectors}), HERE / "tokens.vectors", compression="zstd")


def refused():
    """Models that are not evaluated: only the files, for the messages."""
    x, y = data()
    for name, model in [("nearest_neighbours", KNeighborsClassifier()), ("isolation", IsolationForest(n_estimators=4))]:
        exported = to_onnx(model.fit(x, y), x[:1], target_opset={"": 15, "ai.onnx.ml": 3})
        (HERE / f"{name}.refused.onnx").write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    import sys

    for step in [scikit_learn, mixed, boosters, vector_machines, catboosts, trees_of_version_5, texts, library, tokens, refused]:
        if len(sys.argv) == 1 or step.__name__ in sys.argv[1:]:
            step()
