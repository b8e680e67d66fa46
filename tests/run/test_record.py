import json
from pathlib import Path

import torch

from firstorder.run.record import write
from firstorder.task import Classification, Regression


def test_classification_reports_both_protocols_and_regression_its_error() -> None:
    scores = {"transductive": torch.ones(2), "non_transductive": torch.zeros(2)}
    assert Classification().summarise(scores)["transductive"]["accuracy"] == 1
    assert Regression().summarise({"mse": torch.ones(2)})["mse"] == 1


def test_results_are_written_whole(tmp_path: Path) -> None:
    write(tmp_path / "results.json", {"seed": 3})
    assert json.loads((tmp_path / "results.json").read_text()) == {"schema": 1, "seed": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
