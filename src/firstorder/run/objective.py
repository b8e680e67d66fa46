"""The score that a run returns, for a sweeper to maximise."""

from collections.abc import Mapping
from typing import Any

SCORES = {"transductive": 1.0, "mse": -1.0}  # what a score is worth: an error is better when lower


def validation_objective(metrics: Mapping[str, Any]) -> float | None:
    """Return the score of the last validation from Lightning's metrics; None where there was none."""
    for name, value in metrics.items():
        split, _, score = name.partition("/")
        if split != "train" and score in SCORES:
            return SCORES[score] * float(value)
    return None


def test_objective(test: Mapping[str, Any]) -> float:
    """Return the score of the final test, from what results.json holds of it."""
    if "mse" in test:
        return SCORES["mse"] * float(test["mse"])
    return SCORES["transductive"] * float(test["transductive"]["accuracy"])
