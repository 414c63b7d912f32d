"""Makes fraud_score.onnx, and the expected output of fraud_score.sql by plain Python and onnxruntime.

    pip install scikit-learn skl2onnx onnxruntime
    python sql-examples/models/make_fraud_model.py

The model is a small gradient boosting over what a card has done within one minute: number of payments, their sum, the greatest one,
and the number of different shops. It is trained on seeded synthetic minutes: no real data, and no claim about real fraud.
"""

import datetime
import json
import pathlib
from collections import defaultdict

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier

HERE = pathlib.Path(__file__).parent


def minutes(count):
    """Ordinary minutes and bursts of many payments in few shops."""
    rng = np.random.default_rng(17)
    burst = rng.random(count) < 0.3
    payments = np.where(burst, rng.integers(3, 12, count), rng.integers(1, 5, count))
    mean = np.where(burst, rng.lognormal(5.5, 0.5, count), rng.lognormal(3.5, 0.8, count))
    total = payments * mean
    greatest = np.minimum(total, mean * rng.uniform(1, 2, count))
    shops = np.minimum(payments, np.where(burst, rng.integers(1, 5, count), rng.integers(1, 4, count)))
    return np.stack([payments, total, greatest, shops], axis=1).astype(np.float32), burst.astype(int)


def expected(session):
    """Each card and minute with its score above a half, in the order of the script."""
    cards = defaultdict(list)
    for line in (HERE.parent / "data" / "payments.jsonl").read_text().splitlines():
        row = json.loads(line)
        at = datetime.datetime.fromisoformat(row["paid_at"])
        cards[at.replace(second=0, microsecond=0), row["card"][-4:]].append(row)
    lines = ["window_start,last_digits,payments,total,score"]
    for (start, digits), rows in sorted(cards.items()):
        total = sum(round(row["amount"] * 100) for row in rows)
        features = [len(rows), total / 100, max(row["amount"] for row in rows), len({row["shop"] for row in rows})]
        score = session.run(None, {"minute": np.array([features], dtype=np.float32)})[1][0][1]
        if score > 0.5:
            lines.append(f"{start},{digits},{len(rows)},{total // 100}.{total % 100:02},{round(float(score), 3)}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    features, fraud = minutes(4000)
    model = GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=1).fit(features, fraud)
    exported = to_onnx(model, initial_types=[("minute", FloatTensorType([None, 4]))], options={"zipmap": False})
    (HERE / "fraud_score.onnx").write_bytes(exported.SerializeToString())
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    text = expected(session)
    (HERE.parent / "fraud_score.expected").write_text(text)
    print(text)
