"""Runs exported models with onnxruntime and prints what it predicts, one line a model.

    other_runtimes.py FEATURES.json MODEL.onnx…

FEATURES.json has a list of numbers for each feature. Nothing is compared here.
"""

import json
import os
import sys

try:
    import numpy
    import onnxruntime
except ImportError as error:
    print("missing|" + (error.name or ""))
    sys.exit()

with open(sys.argv[1]) as file:
    features = json.load(file)
for path in sys.argv[2:]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {port.name: numpy.array(features[port.name], dtype=numpy.float64).reshape(-1, 1) for port in session.get_inputs()}
    outputs = session.run(None, given)
    # Of a classifier the probabilities, of clusters the distance, else the only output there is.
    names = [port.name for port in session.get_outputs()]
    found = outputs[names.index("probabilities")][:, 1] if "probabilities" in names else outputs[0].reshape(len(outputs[0]), -1)[:, 0]
    print(os.path.basename(path).removesuffix(".onnx") + "|" + json.dumps([float(number) for number in found]))
