from pathlib import Path

import pandas as pd
import pytest

from firstorder.results.cells import cells, reduced_cells
from firstorder.results.paper import FIGURES, ROWS, TABLES, published_cell
from firstorder.results.runs import find_runs
from firstorder.results.statistics import summarise
from firstorder.results.table import tidy
from firstorder.results.words import in_detail, overview
from tests.results.conftest import MakeRun, label

ONES = {"transductive": [1.0] * 9 + [0.0], "non_transductive": [1.0] * 8 + [0.0] * 2}


def found(root: Path, artefact: str = "table2", reduced: bool = False) -> pd.DataFrame:
    runs = {run.name: run for run in find_runs([root]).runs}
    make = reduced_cells if reduced else cells
    return make(summarise(tidy(list(runs.values())), runs), artefact, runs)


def one(table: pd.DataFrame, algorithm: str, ways: int = 5, shots: int = 5) -> pd.Series:
    chosen = table[(table.algorithm == algorithm) & (table.ways == ways) & (table.shots == shots)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_the_papers_numbers_stand_where_they_stand_there() -> None:
    assert published_cell("table1", "Reptile", "transductive", 5, 1) == pytest.approx(
        (0.4997, 0.0032)
    )
    assert published_cell("table2", "1st-order MAML", "transductive", 20, 1) == pytest.approx(
        (0.894, 0.005)
    )
    assert published_cell("table2", "Reptile", "non_transductive", 20, 5) == pytest.approx(
        (0.9665, 0.0033)
    )
    assert published_cell("table2", "MAML", "non_transductive", 5, 1) is None
    assert published_cell("cifarfs", "Reptile", "transductive", 5, 1) is None
    for table in TABLES.values():
        assert all(len(table.published[c]) == len(ROWS) for c in table.columns if table.published)
    for figure in FIGURES.values():
        assert len(figure.series) == len(figure.looks) == len(set(figure.looks))


def test_one_run_fills_the_cells_of_its_protocols_and_shots(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("a", ONES, experiment=label())
    make_run("b", ONES, experiment=label(), shots=1)
    table = found(tmp_path)
    for shots, paper in (5, 0.9948), (1, 0.9768):
        cell = one(table, "Reptile + Transduction", shots=shots)
        assert cell["mean"] == pytest.approx(0.9)
        assert cell["difference"] == pytest.approx(0.9 - paper)
    assert one(table, "Reptile")["mean"] == pytest.approx(0.8)


def test_within_the_joint_error_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    for seed, ones in enumerate([989, 990, 991]):
        scores = [1.0] * ones + [0.0] * (1000 - ones)
        make_run(f"s{seed}", {"transductive": scores}, seed=seed, experiment=label())
    cell = one(found(tmp_path), "Reptile + Transduction")
    pooled = 1.96 * (0.99 * 0.01 * 3000 / 2999 / 3000) ** 0.5  # 0.36%, more than the seeds' 0.1%
    assert cell["std"] == pytest.approx(0.001)
    assert cell["ci95"] == pytest.approx(pooled, rel=1e-4)
    assert cell["joint_error"] == pytest.approx((pooled**2 + 0.0006**2) ** 0.5, rel=1e-4)
    assert not cell["within"]  # 0.48% from the paper's 99.48
    assert cell["seeds"] == 3


def test_what_was_not_run_is_shown_as_not_run(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ONES, experiment=label())
    table = found(tmp_path)
    shown = overview(table).set_index("algorithm")
    assert shown.loc["MAML + Transduction", "1-shot 20-way"] == "not run (95.80 ± 0.30)"
    assert shown.loc["Reptile", "5-shot 5-way"] == "**80.00** (98.90 ± 0.10)"
    detail = in_detail(table)
    assert (detail.filter(like="ours") == "not run").sum().item() == 16 - 2
    assert len(overview(found(tmp_path, "cifarfs"))) == 4


def test_reduced_runs_are_never_among_the_full_ones(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("short", ONES, experiment=label(), steps=10)
    assert one(found(tmp_path), "Reptile")["seeds"] == 0
    reduced = found(tmp_path, reduced=True)
    assert one(reduced, "Reptile")["mean"] == pytest.approx(0.8)
    assert set(in_detail(reduced)["iterations"]) == {"10 of 100,000"}


def test_other_data_never_fill_a_cell(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("glyphs", ONES, experiment=label(), data="glyphs")
    assert not found(tmp_path)["seeds"].any()


def test_a_strangers_row_is_added(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("new", ONES, experiment=label(series="ANIL"))
    cell = one(found(tmp_path), "ANIL + Transduction")
    assert cell["mean"] == pytest.approx(0.9)
    assert cell["within"] is None or pd.isna(cell["within"])


def test_other_settings_in_a_cell_are_named_not_averaged(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ONES, experiment=label())
    make_run("b", ONES, seed=1, experiment=label(), settings={"algo": {"inner_lr": 0.5}})
    table = found(tmp_path)
    settings = set(table[table.algorithm == "Reptile"].settings)
    assert {"algo.inner_lr=0.001", "algo.inner_lr=0.5"} <= settings
