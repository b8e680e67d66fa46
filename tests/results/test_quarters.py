from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from firstorder.results.quarters import quarters, quarters_section
from firstorder.results.runs import find_runs
from firstorder.results.statistics import summarise
from firstorder.results.table import tidy
from tests.results.conftest import MakeRun, label

LEVELS = {"g2": 0.5, "g1 + g2": 0.4, "g4": 0.6, "g1 + g2 + g3 + g4": 0.9}


def lines(root: Path) -> pd.DataFrame:
    found = find_runs([root]).runs
    runs = {run.name: run for run in found}
    return quarters(summarise(tidy(found), runs), runs)


def make_curve(
    make_run: MakeRun, series: str, level: float, seed: int = 0, points: int = 8
) -> None:
    """Write a run of 40,000 iterations that rises by 0.01 from each quarter to the next."""
    steps = [(i + 1) * 40_000 // points - 1 for i in range(points)]
    values = [level + 0.01 * (4 * step // 40_000) for step in steps]
    make_run(
        f"{series.replace(' ', '')}_{seed}", {"transductive": [1, 0]}, seed=seed,
        experiment=label("figure3", series), settings={"algo": {"weights": series}},
        curve={"step": steps, "test_tasks/transductive": values},
    )  # fmt: skip


def test_quarters_and_their_differences_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    for series, level in LEVELS.items():
        make_curve(make_run, series, level)
    make_curve(make_run, "g2", 0.7, seed=1)
    table = lines(tmp_path).set_index("curve")
    assert table.loc["g2", "seeds"] == (0, 1)
    np.testing.assert_allclose(
        table.loc["g2", ["1st", "2nd", "3rd", "4th"]].astype(float), [0.6, 0.61, 0.62, 0.63]
    )
    np.testing.assert_allclose(table.loc["g2", "1st_std"], 0.2 / 2**0.5)
    np.testing.assert_allclose(table.loc["[g1 + g2] - [g2]", "1st"], 0.4 - 0.5)  # of seed 0 alone
    assert table.loc["[g1 + g2] - [g2]", "seeds"] == (0,)
    np.testing.assert_allclose(
        table.loc["the first of these less the second", "4th"], (0.9 - 0.4) - (0.6 - 0.5)
    )
    shown = quarters_section(table.reset_index()).tables[0][1].set_index("curve")
    assert shown.loc["g2", "to 10,000"] == "60.0 ± 14.1"
    assert shown.loc["[g1 + g2] - [g2]", "to 40,000"] == "-10.0"


@pytest.mark.parametrize("points", [1, 3])
def test_a_curve_without_a_point_in_each_quarter_is_left_out(
    make_run: MakeRun, tmp_path: Path, points: int
) -> None:
    make_curve(make_run, "g2", 0.5, points=points)
    section = quarters_section(lines(tmp_path))
    assert not section.tables
    assert section.text[-1] == "Not run."


def test_a_difference_needs_a_seed_that_all_its_curves_have(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_curve(make_run, "g2", 0.5, seed=0)
    make_curve(make_run, "g1 + g2", 0.4, seed=1)
    assert lines(tmp_path)["curve"].tolist() == ["g2", "g1 + g2"]
