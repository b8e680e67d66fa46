from pathlib import Path

import pytest
import yaml

from firstorder.places import CONF
from firstorder.results.label import ExperimentLabel
from firstorder.results.paper import FIGURES, ROWS, SINE_WAVES, TABLES

EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_names_a_row_or_a_curve_that_the_report_knows(path: Path) -> None:
    label = yaml.safe_load(path.read_text()).get("label", {})
    artefact = path.stem.split("_")[0]
    if artefact not in {*TABLES, *FIGURES} - {SINE_WAVES[0]}:
        return
    if (row := label.get("row")) is not None:
        assert row in dict(ROWS)
    if (curve := label.get("curve", "???")) != "???":
        assert curve in FIGURES[artefact].series
    if label.get("artefact", "???") != "???":
        assert label["artefact"] == artefact


def test_a_label_is_read_from_a_config() -> None:
    label = ExperimentLabel.read({"label": {"artefact": "figure4a", "curve": "Reptile", "x": 4}})
    assert label is not None
    assert (label.series, label.x) == ("Reptile", 4)
    assert ExperimentLabel.read({}) is None
    assert ExperimentLabel.read({"label": None}) is None
