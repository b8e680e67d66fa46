"""Searches of Appendix A: they optimise, outlive failures, and go on after a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml
from hydra import compose, initialize_config_dir
from optuna.trial import TrialState
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from firstorder.cli.schema import register
from firstorder.cli.searches import open_study, take_up
from firstorder.cli.validation import validate
from firstorder.places import CONF
from tests.conftest import ROOT, TINY, Script

# Another experiment's settings, as Omniglot's validation classes are none of the glyphs'.
SEARCH = ["experiment=table2_5way_5shot", *TINY, "logger=csv", "hydra.sweep.dir=search"]
SEARCHES = ["appendix_a_random", "appendix_a_tpe", "appendix_a_cmaes"]
SPACE = {
    "algo.inner_lr", "algo.inner_steps", "algo.inner_batch_size", "algo.outer_lr",
    "algo.meta_batch_size", "data.train_shots", "eval.inner_steps", "eval.inner_batch_size",
}  # fmt: skip


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{folder}/search/study.db"
    (study,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study.study_name, storage).trials


def test_what_trials_share_is_short_and_scored_on_classes_of_its_own() -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["sweep=appendix_a_tpe", "logger=csv"])
    validate(cfg)
    assert (cfg.objective, cfg.eval.monitor_split) == ("val", "val")
    assert cfg.data.source.validation_classes == 100
    assert cfg.eval.monitor_every == cfg.trainer.max_steps == 1000
    assert (cfg.algo.outer_lr_final, cfg.label) == (0, None)


@pytest.mark.slow
@pytest.mark.parametrize("search", SEARCHES)
def test_one_command_searches_and_a_failed_trial_does_not_end_it(
    search: str, script: Script, tmp_path: Path
) -> None:
    done = script(
        "train.py", f"sweep={search}", *SEARCH, "hydra.sweeper.n_trials=3",
        "algo.inner_steps=int(interval(0,1))", cwd=tmp_path,
    )  # fmt: skip
    trials = trials_of(tmp_path)
    assert len(trials) == 3
    for trial in trials:
        assert set(trial.params) == SPACE - {"eval.inner_steps"}  # given, see TINY
        failed = trial.params["algo.inner_steps"] == 0  # refused
        assert trial.state == (TrialState.FAIL if failed else TrialState.COMPLETE)
    states = [trial.state for trial in trials]
    assert set(states) == {TrialState.COMPLETE, TrialState.FAIL}
    assert done.returncode == 1, done.stderr
    best = max(trial.value for trial in trials if trial.value is not None)
    assert yaml.safe_load((tmp_path / "search/optimization_results.yaml").read_text())[
        "best_value"
    ] == pytest.approx(best)


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_by_the_same_command(
    script: Script, environment: dict[str, str], tmp_path: Path
) -> None:
    command = ["sweep=appendix_a_random", *SEARCH, "hydra.sweeper.n_trials=3"]
    process = subprocess.Popen(
        [sys.executable, ROOT / "src/train.py", *command], cwd=tmp_path, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    notes, deadline = tmp_path / "search/jobs.jsonl", time.monotonic() + 120
    while not notes.exists() or notes.read_text().count('"started"') < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = trials_of(tmp_path)
    assert [trial.state for trial in before] == [TrialState.COMPLETE, TrialState.RUNNING]
    (results,) = tmp_path.glob("search/*/results.json")
    written = results.stat().st_mtime_ns

    done = script("train.py", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = trials_of(tmp_path)
    states = [trial.state for trial in trials]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, *[TrialState.COMPLETE] * 2]
    assert trials[2].params == before[1].params  # the interrupted one, in its folder
    drawn = [tuple(trial.params.values()) for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(set(drawn)) == 3  # the random numbers did not start anew
    assert len(list(tmp_path.glob("search/*/results.json"))) == 3
    assert results.stat().st_mtime_ns == written

    again = script("train.py", *command, cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert len(trials_of(tmp_path)) == 4
    other = script("train.py", *command, "algo.outer_lr=0.5", cwd=tmp_path)
    assert other.returncode != 0
    assert (
        "holds a search with algo.outer_lr=1.0, and this one has algo.outer_lr=0.5" in other.stderr
    )


def test_trials_that_failed_are_tried_again_once_and_count_when_they_finish(tmp_path: Path) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train", ["sweep=appendix_a_random", f"hydra.sweep.dir={tmp_path}"],
            return_hydra_config=True,
        )  # fmt: skip
    cfg.hydra.sweeper.study_name = "search"
    study = open_study(cfg.hydra.sweeper)

    def ask(state: TrialState | None, value: float | None = None) -> dict[str, float]:
        trial = study.ask()
        trial.suggest_uniform("x", 0, 1)
        if state:
            study.tell(trial, value, state=state)
        return trial.params

    ask(TrialState.COMPLETE, 0.5)
    failed, interrupted = ask(TrialState.FAIL), ask(None)
    for _ in range(2):  # a second call finds them queued
        assert take_up(study, 5) == 4
    assert [ask(TrialState.COMPLETE, 0.1) for _ in range(3)][:2] == [failed, interrupted]
    assert take_up(study, 5) == 1
    assert take_up(study, 2) == 0


def test_a_search_that_runs_is_left_alone(script: Script, tmp_path: Path) -> None:
    from firstorder.cli.searches import hold

    (tmp_path / "search").mkdir()
    with hold(tmp_path / "search"):
        done = script("train.py", "sweep=appendix_a_random", *SEARCH, cwd=tmp_path)
    assert done.returncode != 0
    assert "another process runs the search in search" in done.stderr


def test_a_sweep_of_weights_and_biases_starts_a_run_that_composes() -> None:
    sweep = yaml.safe_load((CONF / "wandb" / "sweep.yaml").read_text())
    assert set(sweep["parameters"]) == SPACE
    assert (ROOT / sweep["program"]).exists()
    for bound in "min", "max":
        drawn = {key: {"value": found[bound]} for key, found in sweep["parameters"].items()}
        given = create_sweep_command_args({"args": drawn})["args_no_hyphens"]
        command = [
            each for word in sweep["command"] for each in
            (given if word == "${args_no_hyphens}" else [word])
        ]  # fmt: skip
        assert command[:3] == ["${env}", "${interpreter}", "${program}"]
        register()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("train", [*command[3:], "logger=csv"])
        validate(cfg)
        assert cfg.algo.inner_steps == sweep["parameters"]["algo.inner_steps"][bound]
        assert cfg.eval.monitor_every == cfg.trainer.max_steps


def test_the_two_searches_draw_from_the_same_space() -> None:
    sweep = yaml.safe_load((CONF / "wandb" / "sweep.yaml").read_text())
    params = yaml.safe_load((CONF / "sweep/appendix_a.yaml").read_text())["hydra"]["sweeper"][
        "params"
    ]
    for key, text in params.items():
        found = sweep["parameters"][key]
        assert f"interval({found['min']}, {found['max']})" in text
        assert found["distribution"].startswith("q_" * ("int(" in text) + "log_uniform") == (
            "log" in text
        )
