"""Makes sentiment.onnx, the comments of sentiment.sql, and its expected output by plain Python and onnxruntime.

    pip install scikit-learn skl2onnx onnxruntime
    python sql-examples/models/make_sentiment_model.py        # onnxruntime needs the locale en_US.UTF-8 for its StringNormalizer

Bag of words, weights by how rare a word is, logistic regression: some hundred words of English about things that are bought. The
sentences it learns from are put together from the lists below, which were written for this; the comments of the example were written
apart from them. It knows no irony and little grammar: "not good" is a pair of words to it, and that is all.
"""

import datetime
import itertools
import json
import pathlib
import random
from collections import defaultdict

import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

HERE = pathlib.Path(__file__).parent

THINGS = "the lamp,the kettle,this phone,my order,the parcel,the support,this chair,the app,the battery,the screen,the delivery,the coffee".split(",")
GOOD = (
    "great,good,excellent,lovely,wonderful,perfect,fast,quick,friendly,helpful,reliable,sturdy,beautiful,comfortable,fantastic,amazing,"
    "solid,pleasant,clear,easy,brilliant,superb,smooth,cheap,fine,nice,on time,well made,worth it,better than expected"
).split(",")
BAD = (
    "bad,awful,terrible,poor,slow,late,rude,useless,broken,flimsy,ugly,uncomfortable,horrible,disappointing,cracked,noisy,unreliable,"
    "faulty,dirty,difficult,expensive,cold,weak,missing,damaged,confusing,a waste,worse than expected,dead after a day,too small"
).split(",")
LIKE = "I love {},I like {},happy with {},very pleased with {},thank you for {},I would buy {} again,I recommend {},glad I bought {}".split(",")
DISLIKE = "I hate {},I dislike {},unhappy with {},very annoyed by {},never again {},I regret {},stay away from {},I want my money back for {}".split(",")
FRAMES = "{} is {},{} was {},{} is really {},{} came and it was {},{} seems {} to me,honestly {} is {}".split(",")


def sentences():
    """Sentences and whether they are kind."""
    random.seed(23)
    made = []
    for words, other, label in [(GOOD, BAD, 1), (BAD, GOOD, 0)]:
        for word, frame in itertools.product(words, FRAMES):
            made.append((frame.format(random.choice(THINGS), word), label))
        for word in other:
            made.append((f"{random.choice(THINGS)} is not {word}", label))
            made.append((f"{random.choice(THINGS)} was not {word} at all", label))
    for frames, label in [(LIKE, 1), (DISLIKE, 0)]:
        made.extend((frame.format(thing), label) for frame, thing in itertools.product(frames, THINGS))
    return made


# Product, minutes after the last comment, text.
COMMENTS = [
    ("kettle", 0, "Boils fast and looks lovely on the shelf."), ("lamp", 4, "The lamp came broken, what a shame"),
    ("kettle", 3, "Very pleased, the lid is easy to open!"), ("chair", 9, "uncomfortable after an hour and too small for me"),
    ("lamp", 11, "They sent a new one, the support was friendly and quick"), ("kettle", 8, "Noisy. I regret it."),
    ("chair", 13, "Sturdy and comfortable, I recommend it"), ("lamp", 7, "Beautiful light, perfect for reading"),
    ("kettle", 12, "dead after a day, never again"), ("chair", 2, "Not bad at all, easy to put together"),
    ("lamp", 14, "Awful smell and a faulty switch"), ("kettle", 6, "I want my money back"),
    ("chair", 5, "Wonderful chair, glad I bought it"), ("lamp", 10, "The lamp is fine and the delivery was on time"),
    ("kettle", 15, "great kettle, would buy again"), ("chair", 3, "One leg is missing, the support was rude"),
    ("lamp", 9, "Terrible. It cracked in the parcel."), ("kettle", 4, "useless handle, weak and flimsy"),
    ("chair", 16, "excellent, better than expected"), ("lamp", 8, "I love this lamp"),
    ("kettle", 7, "slow, ugly and expensive"), ("chair", 12, "Not comfortable"),
    ("lamp", 5, "a lovely gift, thank you"), ("kettle", 11, "Reliable, quick, worth it."),
]


def comments():
    at = datetime.datetime(2024, 5, 17, 9, 0)
    rows = []
    for product, minutes, text in COMMENTS:
        at += datetime.timedelta(minutes=minutes)
        rows.append({"product": product, "text": text, "written_at": at.isoformat()})
    return rows


def expected(session, rows):
    hours = defaultdict(list)
    for row in rows:
        at = datetime.datetime.fromisoformat(row["written_at"])
        score = float(session.run(None, {"text": np.array([[row["text"]]], dtype=object)})[1][0][1])
        hours[at.replace(minute=0), row["product"]].append((score, row["text"]))
    lines = ["window_start,product,comments,kind,unkindest"]
    for (start, product), said in sorted(hours.items()):
        unkindest = min(said)[1]
        text = f'"{unkindest}"' if "," in unkindest else unkindest
        lines.append(f"{start},{product},{len(said)},{sum(score > 0.5 for score, _ in said)},{text}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    texts, labels = zip(*sentences())
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, token_pattern="[a-zA-Z]+")
    model = make_pipeline(vectorizer, LogisticRegression(C=20, max_iter=1000)).fit(texts, labels)
    exported = to_onnx(model, initial_types=[("text", StringTensorType([None, 1]))], options={"zipmap": False})
    data = exported.SerializeToString()
    (HERE / "sentiment.onnx").write_bytes(data)
    rows = comments()
    (HERE.parent / "data" / "comments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    session = onnxruntime.InferenceSession(data)
    text = expected(session, rows)
    (HERE.parent / "sentiment.expected").write_text(text)
    print(len(data), "bytes", len(vectorizer.vocabulary_), "words and pairs")
    for row in rows:
        print(round(float(session.run(None, {"text": np.array([[row["text"]]], dtype=object)})[1][0][1]), 2), row["text"])
    print(text)
