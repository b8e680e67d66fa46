from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from firstorder.results.curves import learning_curves
from firstorder.results.runs import find_runs
from firstorder.results.statistics import (
    bootstrap_interval,
    error_of,
    joint_error,
    paired_contrast,
    paired_difference,
    smooth,
    summarise,
)
from firstorder.results.table import tidy
from tests.results.conftest import MakeRun, label


def summary(root: Path) -> pd.DataFrame:
    runs = find_runs([root]).runs
    return summarise(tidy(runs), {run.name: run for run in runs})


def test_over_seeds_and_over_tasks_by_hand(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", {"transductive": [1, 1, 1, 0]}, seed=0)
    make_run("b", {"transductive": [1, 0, 0, 0]}, seed=1)
    (row,) = summary(tmp_path).to_dict("records")
    assert row["seeds"] == (0, 1)
    assert row["mean"] == pytest.approx(0.5)
    assert row["std"] == pytest.approx(0.5 / 2**0.5)  # of 0.75 and 0.25
    assert row["tasks"] == 8
    assert row["ci95"] == pytest.approx(1.96 * (2 / 7) ** 0.5 / 8**0.5)  # 4 ones and 4 zeros


def test_what_moves_no_number_does_not_split_a_group(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", {"transductive": [1, 0]}, seed=0, settings={"trainer": {"threads": 1}})
    make_run("b", {"transductive": [1, 0]}, seed=1, settings={"trainer": {"threads": 8}})
    assert len(summary(tmp_path)) == 1


def test_any_other_setting_splits_a_group(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", {"transductive": [1, 0]}, seed=0)
    make_run("b", {"transductive": [1, 0]}, seed=1, settings={"algo": {"inner_lr": 0.1}})
    make_run("c", {"transductive": [1, 0]}, seed=2, steps=50)
    assert len(summary(tmp_path)) == 3


def test_runs_that_were_trained_on_other_images_are_paired(
    make_run: MakeRun, tmp_path: Path
) -> None:
    """Images that are tested on are never changed or turned."""
    for name, augment in (("a", []), ("b", ["flip"])):
        source = {"root": "data", "split_seed": 0, "augment": augment}
        make_run(name, {"transductive": [1, 0]}, settings={"data": {"source": source}})
    first, second = ([(run, "transductive")] for run in find_runs([tmp_path]).runs)
    assert paired_difference(first, second).tasks == 2


def test_the_same_seed_counts_once_with_the_most_tasks(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", {"transductive": [0, 0]})
    make_run("b", {"transductive": [1, 1, 1]})
    (row,) = summary(tmp_path).to_dict("records")
    assert (row["mean"], row["tasks"], row["seeds"]) == (1, 3, (0,))


def test_paired_comparison_recovers_a_known_difference(make_run: MakeRun, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(400)  # tasks differ far more than the methods do
    noise = generator.normal(0, 0.01, 400)
    for seed in (0, 1):
        make_run(f"a{seed}", {"transductive": hard + 0.02 + noise}, seed=seed)
        make_run(
            f"b{seed}", {"transductive": hard}, seed=seed, settings={"algo": {"inner_lr": 1.0}}
        )
    runs = find_runs([tmp_path]).runs
    first = [(run, "transductive") for run in runs if run.folder.name.startswith("a")]
    second = [(run, "transductive") for run in runs if run.folder.name.startswith("b")]
    found = paired_difference(first, second)
    assert (found.tasks, found.seeds) == (800, (0, 1))
    assert found.mean == pytest.approx(0.02 + noise.mean(), abs=1e-6)
    assert found.low < 0.02 < found.high
    assert found.high - found.low < 0.003  # unpaired it would be 0.08


def test_a_contrast_is_the_weighted_sum_of_its_terms(make_run: MakeRun, tmp_path: Path) -> None:
    for name, level in {"a": 0.9, "b": 0.6, "c": 0.5, "d": 0.4}.items():
        make_run(name, {"transductive": [level, level + 0.1]}, settings={"algo": {"m": name}})
    a, b, c, d = ([(run, "transductive")] for run in find_runs([tmp_path]).runs)
    found = paired_contrast([(1.0, a), (-1.0, b), (-1.0, c), (1.0, d)])
    assert found.mean == pytest.approx((0.9 - 0.6) - (0.5 - 0.4))


def test_other_test_tasks_are_not_paired(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", {"transductive": [1, 0]}, seed=0)
    make_run("b", {"transductive": [1, 0]}, seed=1)
    make_run("c", {"transductive": [1, 0]}, seed=0, shots=1)
    a, b, c = ((run, "transductive") for run in find_runs([tmp_path]).runs)
    for other in b, c:
        with pytest.raises(ValueError, match="no test tasks in common"):
            paired_difference([a], [other])


def test_the_bootstrap_is_the_normal_interval_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(3, 1, 1000)
    low, high = bootstrap_interval(values)
    assert low == pytest.approx(values.mean() - 1.96 / 1000**0.5, abs=0.005)
    assert high == pytest.approx(values.mean() + 1.96 / 1000**0.5, abs=0.005)
    assert bootstrap_interval(values) == (low, high)


def test_errors_join_as_the_sides_of_a_right_triangle() -> None:
    assert joint_error(0.03, 0.04) == pytest.approx(0.05)
    assert error_of(float("nan"), 0.01) == 0.01  # one seed: the tasks alone
    assert error_of(0.02, 0.01) == 0.02


def test_smoothing_is_the_mean_within_the_window() -> None:
    steps, values = np.array([0.0, 1, 2, 3, 10]), np.array([0.0, 2, 4, 6, 100])
    smoothed = smooth(steps, values, np.array([0.0, 2, 6, 10]), 2)
    np.testing.assert_allclose(smoothed, [1, 4, np.nan, 100])  # one-sided at the ends


def test_curves_are_smoothed_for_each_seed_before_they_are_averaged(
    make_run: MakeRun, tmp_path: Path
) -> None:
    steps = list(range(0, 100, 10))
    for seed, level in enumerate([0.2, 0.4]):
        make_run(
            f"s{seed}", {"transductive": [1, 0]}, seed=seed, experiment=label("figure3", "g1"),
            curve={"step": steps, "val/transductive": [level] * 10, "train/loss": [9] * 10},
        )  # fmt: skip
    runs = {run.name: run for run in find_runs([tmp_path]).runs}
    curves = learning_curves(summary(tmp_path), runs, smoothing=0.1)
    np.testing.assert_allclose(curves["mean"], 0.3)
    np.testing.assert_allclose(curves["std"], 0.2 / 2**0.5)
    assert set(curves["prefix"]) == {"val"}
