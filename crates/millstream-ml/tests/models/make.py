"""Makes the models of this folder and what onnxruntime predicts with them.

    pip install scikit-learn skl2onnx onnxmltools lightgbm xgboost onnxruntime pyarrow pandas
    python make.py

Everything is trained on seeded synthetic data. `name.onnx` is the export, `name.parquet` has a column for each feature in the
model's order, then `label` and `p0`, `p1`, … of a classifier, or `value` of a regressor. Before a file is written, onnxruntime must
agree with the library that trained the model.
"""

import pathlib

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
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
    options = {"zipmap": zipmap} if classifier else None
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


def refused():
    """Models that are not evaluated: only the files, for the messages."""
    x, y = data()
    for name, model in [("svm", SVC(probability=False)), ("nearest_neighbours", KNeighborsClassifier()), ("isolation", IsolationForest(n_estimators=4))]:
        exported = to_onnx(model.fit(x, y), x[:1], target_opset={"": 15, "ai.onnx.ml": 3})
        (HERE / f"{name}.refused.onnx").write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    import sys

    for step in [scikit_learn, mixed, boosters, refused]:
        if len(sys.argv) == 1 or step.__name__ in sys.argv[1:]:
            step()
