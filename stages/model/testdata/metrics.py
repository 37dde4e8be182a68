"""Writes metrics.json: metrics of random, tied, absent and degenerate cases by scikit-learn. Needs scikit-learn >= 1.6."""
import json, pathlib, warnings
import numpy as np
from sklearn import metrics as m

warnings.filterwarnings("ignore")
rng = np.random.default_rng(7)
cases = []


def classification(name, truth, probabilities, classes, auroc=True):
    truth, probabilities = np.asarray(truth), np.asarray(probabilities, dtype=float)
    labels = list(range(len(classes)))
    chosen = probabilities.argmax(axis=1)
    numbers = {"accuracy": m.accuracy_score(truth, chosen),
               "log_loss": m.log_loss(truth, probabilities, labels=labels)}
    for family, score in [("precision", m.precision_score), ("recall", m.recall_score), ("f1", m.f1_score)]:
        for mean in ["micro", "macro", "weighted"]:
            numbers[f"{family}.{mean}"] = score(truth, chosen, average=mean, zero_division=0)
        for label, value in zip(classes, score(truth, chosen, labels=labels, average=None, zero_division=0)):
            numbers[f"{family}.class.{label}"] = value
    if auroc:
        if len(classes) == 2:
            numbers["auroc"] = m.roc_auc_score(truth, probabilities[:, 1])
        else:
            present = [c for c in labels if 0 < (truth == c).sum() < len(truth)]
            numbers["auroc"] = float(np.mean([m.roc_auc_score(truth == c, probabilities[:, c]) for c in present]))
    cases.append({"name": name, "task": "classification", "truth": truth.tolist(), "chosen": chosen.tolist(),
                  "classes": classes, "probabilities": probabilities.tolist(),
                  "confusion_matrix": m.confusion_matrix(truth, chosen, labels=labels).tolist(),
                  "metrics": {key: float(value) for key, value in numbers.items()}})


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def regression(name, truth, predicted):
    truth, predicted = np.asarray(truth, dtype=float), np.asarray(predicted, dtype=float)
    cases.append({"name": name, "task": "regression", "truth": truth.tolist(), "predicted": predicted.tolist(),
                  "metrics": {"mae": m.mean_absolute_error(truth, predicted),
                              "rmse": m.root_mean_squared_error(truth, predicted), "r2": m.r2_score(truth, predicted)}})


classification("four classes", rng.integers(0, 4, 60), softmax(rng.normal(size=(60, 4))), list("abcd"))
classification("two classes", rng.integers(0, 2, 50), softmax(rng.normal(size=(50, 2))), ["no", "yes"])
ties = rng.integers(0, 4, 80) / 4 + 0.1
classification("ties", rng.integers(0, 2, 80), np.stack([1 - ties, ties], axis=1), ["0", "1"])
coarse = rng.integers(1, 4, (70, 3)).astype(float)
classification("ties of three", rng.integers(0, 3, 70), coarse / coarse.sum(axis=1, keepdims=True), list("xyz"))
classification("a class absent from the truth", rng.choice([0, 2], 40), softmax(rng.normal(size=(40, 3))), list("abc"))
never = softmax(rng.normal(size=(40, 4))); never[:, 3] = 0; never /= never.sum(axis=1, keepdims=True)
classification("a class in neither", rng.integers(0, 3, 40), never, list("abcd"))
classification("a class never predicted", rng.integers(0, 4, 40), never, list("abcd"))
sure = np.eye(3)[rng.integers(0, 3, 30)]
classification("certain and wrong", rng.integers(0, 3, 30), sure, list("abc"))
classification("one class only", np.zeros(10, dtype=int), softmax(rng.normal(size=(10, 2))), ["0", "1"], auroc=False)
y = rng.normal(size=50) * 3 + 5
regression("noise", y, y + rng.normal(size=50))
regression("worse than the mean", y, -y)
regression("a constant met", [2, 2, 2], [2, 2, 2])
regression("a constant missed", [2, 2, 2], [2, 2, 3])
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
