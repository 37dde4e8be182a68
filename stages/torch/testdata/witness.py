"""Checks exported files with ONNX's own checker and runs them in onnxruntime.

usage: witness.py FOLDER; every case is NAME.onnx beside NAME.json: inputs, the output's name, what our runtime answers.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

NUMPY = {"float": numpy.float32, "double": numpy.float64, "bool": numpy.bool_, "string": numpy.str_}

failed = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    onnx.checker.check_model(str(path), full_check=True)
    case = json.loads(path.with_suffix(".json").read_text())
    options = onnxruntime.SessionOptions()
    # Without VNNI, onnxruntime's default 8-bit kernels let sums of two products saturate.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = {}
    for name, column in case["inputs"].items():
        values = [float("nan") if value is None else value for value in column["values"]]
        array = numpy.array(values, dtype=NUMPY[column["dtype"]]).reshape(column["shape"])
        inputs[name] = array.astype(object) if column["dtype"] == "string" else array
    names = [output.name for output in session.get_outputs()]
    answers = dict(zip(names, session.run(names, inputs)))
    expected = numpy.array(case["expected"]).reshape(answers[case["output"]].shape)
    difference = numpy.abs(answers[case["output"]] - expected) / case["unit"]
    near = numpy.mean(difference.reshape(len(expected), -1).max(axis=1) <= case["tolerance"])
    same = near
    if "label" in answers:
        chosen = expected.argmax(axis=1)
        same = numpy.mean([str(label) == case["classes"][place] for label, place in zip(answers["label"], chosen)])
    good = near >= case["share"] and same >= 0.99
    print(f"{path.stem}: largest difference {difference.max():.1e}, near {near:.3f}, same class {same:.3f}, {path.stat().st_size} bytes")
    if not good:
        failed.append(path.stem)
sys.exit(f"differ: {failed}" if failed else 0)
