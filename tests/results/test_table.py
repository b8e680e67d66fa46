"""The tidy table of runs, and what is read off it."""

from pathlib import Path

from firstorder.results.runs import find_runs
from firstorder.results.statistics import summarise
from firstorder.results.table import tidy, told_apart
from firstorder.results.words import side_by_side
from tests.results.conftest import MakeRun

SCORES = {"transductive": [0.5, 1.0], "non_transductive": [0.25, 0.75]}


def reptile(inner_lr: float, inner_steps: int) -> dict[str, dict[str, object]]:
    return {"algo": {"inner_lr": inner_lr, "inner_steps": inner_steps}}


def told(make_run: MakeRun, *settings: dict[str, dict[str, object]]) -> list[dict[str, str]]:
    folders = [make_run(f"run{i}", SCORES, settings=one) for i, one in enumerate(settings)]
    found = find_runs(folders).runs
    return told_apart(tidy(found)).to_dict("records")


def test_groups_are_told_apart_by_as_few_settings_as_will_do(make_run: MakeRun) -> None:
    assert told(make_run, reptile(0.1, 5), reptile(0.2, 8)) == [
        {"algo.inner_lr": "0.1"},
        {"algo.inner_lr": "0.2"},
    ]


def test_of_a_grid_all_axes_are_there(make_run: MakeRun) -> None:
    grid = [reptile(lr, steps) for lr in (0.1, 0.2) for steps in (5, 8)]
    assert told(make_run, *grid) == [
        {"algo.inner_lr": lr, "algo.inner_steps": steps} for lr in ("0.1", "0.2") for steps in "58"
    ]


def test_classes_stand_for_their_settings(make_run: MakeRun) -> None:
    other = {"algo": {"_target_": "firstorder.algo.FOMAML", "tail_shots": 5}}
    assert told(make_run, reptile(0.1, 5), other) == [{"algo": "Reptile"}, {"algo": "FOMAML"}]


def test_a_line_has_all_scores_of_a_group_and_those_on_training_tasks(
    make_run: MakeRun, tmp_path: Path
) -> None:
    for seed in 0, 1:
        gap = {"transductive": 0.1 + 0.1 * seed, "non_transductive": 0.0}
        make_run(f"a{seed}", SCORES, seed=seed, gap=gap, settings=reptile(0.1, 5))
    make_run("b", SCORES, settings=reptile(0.2, 5))
    runs = {run.name: run for run in find_runs([tmp_path / "outputs"]).runs}
    table = tidy([*runs.values()])
    lines = side_by_side(summarise(table, runs), told_apart(table)).to_dict("records")
    first, second = sorted(lines, key=lambda line: line["algo.inner_lr"])
    assert first["transductive ± deviation over seeds"] == "75.00 ± 0.00%"
    assert first["transductive on training tasks"] == "90.00%"
    assert first["non-transductive on training tasks"] == "50.00%"
    assert second["transductive on training tasks"] == "-"
    assert (first["seeds"], second["seeds"]) == ("0, 1", "0")
