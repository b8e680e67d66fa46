"""The main job, as real processes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from firstorder.run.scores import read_scores
from tests.conftest import ROOT, TINY, Script


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return found["state_dict"]


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_results_are_those_of_the_contract(tiny_run: Path) -> None:
    results = json.loads((tiny_run / "results.json").read_text())
    assert results["schema"] == 2
    assert results["algo"] == "reptile"
    assert results["data"]["name"] == "glyphs"
    assert len(results["data"]["fingerprint"]) >= 16
    assert set(results["data"]["classes"]) == {"train", "val", "test"}
    assert results["seed"] == 0
    assert results["steps"] == 6
    assert results["train_seconds"] > 0
    assert results["eval_seconds"] > 0
    assert results["config"]["algo"]["inner_steps"] == 5
    assert results["versions"]["torch"] == torch.__version__
    assert results["command"][1:] == [*TINY, "hydra.run.dir=run"]
    assert results["commit"] is None or len(results["commit"]) == 40
    assert results["hardware"]["threads"] == 1
    assert datetime.fromisoformat(results["started"]).utcoffset() == timedelta(0)
    assert results["peak_memory"] > 2**26
    assert results["interruptions"] == 0
    for protocol in ("transductive", "non_transductive"):
        assert 0 <= results["test"][protocol]["accuracy"] <= 1
        assert results["test"][protocol]["ci95"] >= 0
        assert results["test"][protocol]["tasks"] == 6
        assert results["test"][protocol]["diverged"] == 0


def test_the_scores_of_single_tasks_average_to_the_results(tiny_run: Path) -> None:
    results = json.loads((tiny_run / "results.json").read_text())
    found = read_scores(tiny_run / "scores.npz")
    assert found.task.tolist() == list(range(6))
    for protocol, scores in found.scores.items():
        assert scores.double().mean() == pytest.approx(results["test"][protocol]["accuracy"])


def test_the_gap_between_training_and_test_tasks_is_a_number(tiny_run: Path) -> None:
    results = json.loads((tiny_run / "results.json").read_text())
    for protocol, gap in results["gap"].items():
        train, test = (results[name][protocol] for name in ("train_tasks", "test"))
        assert gap == train["accuracy"] - test["accuracy"]
        assert train["tasks"] == 6  # at most as many as test tasks


def test_a_finished_run_says_so(tiny_run: Path) -> None:
    journal = json.loads((tiny_run / "run.json").read_text())
    assert (journal["status"], journal["iteration"], journal["max_steps"]) == ("finished", 6, 6)


def test_metrics_lie_beside_them_as_csv(tiny_run: Path) -> None:
    rows = list(csv.DictReader((tiny_run / "metrics.csv").open()))
    losses = [row for row in rows if row["train/loss_before"]]
    assert [int(row["step"]) for row in losses] == [1, 3, 5]  # every second of six
    assert float(losses[-1]["train/outer_lr"]) == pytest.approx(1 / 6)  # the last step, not 0
    assert any(row["val/transductive"] for row in rows)


def test_the_resolved_config_composes_the_same_run(tiny_run: Path) -> None:
    config = OmegaConf.load(tiny_run / "config.yaml")
    assert config.model.num_classes == config.data.ways == 5


def test_the_figure_shows_a_test_episode(tiny_run: Path) -> None:
    picture = Image.open(tiny_run / "figures" / "test_episode.png")
    assert len(set(picture.convert("L").tobytes())) > 50


def test_the_run_ends_with_a_table_and_the_way_to_upload(tiny_run: Path) -> None:
    said = (tiny_run / "stdout.txt").read_text()
    assert "non-transductive" in said
    assert said.count("wandb sync") == 1


def test_weights_and_biases_reads_the_offline_run_back(tiny_run: Path) -> None:
    (run,) = (tiny_run / "wandb").glob("offline-run-*")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json"]
    told = subprocess.run([*command, "--summary", run], capture_output=True, text=True, check=True)
    for word in ("reptile", "glyphs", "train/loss_before", "val/transductive", "accuracy"):
        assert word in told.stdout


def test_the_csv_logger_alone_leaves_weights_and_biases_out(script: Script, tmp_path: Path) -> None:
    done = script("train.py", *TINY, "logger=csv", "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run" / "wandb").exists()
    assert "wandb" not in done.stdout
    assert (tmp_path / "run" / "metrics.csv").exists()


def test_evaluation_of_the_checkpoint_gives_the_runs_own_numbers(
    script: Script, tiny_run: Path, tmp_path: Path
) -> None:
    done = script(
        "evaluate.py", f"ckpt_path={tiny_run}/checkpoints/last.ckpt", "logger=csv",
        "hydra.run.dir=again", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert again["test"] == json.loads((tiny_run / "results.json").read_text())["test"]
    assert again["steps"] == 6


def test_evaluation_takes_other_shots_than_training_had(
    script: Script, tiny_run: Path, tmp_path: Path
) -> None:
    """One training run serves the 1-shot and the 5-shot cell of a table."""
    done = script(
        "evaluate.py", f"ckpt_path={tiny_run}/checkpoints/last.ckpt", "data.shots=1", "eval.tasks=4",
        "logger=csv", "hydra.run.dir=again", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert again["config"]["data"]["shots"] == 1
    assert again["test"]["transductive"]["tasks"] == 4


def test_a_killed_run_goes_on_and_ends_with_the_same_bits(
    script: Script, environment: dict[str, str], tiny_run: Path, tmp_path: Path
) -> None:
    """A real SIGKILL, after the second checkpoint of a run as long as the tiny one."""
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(
        [sys.executable, ROOT / "src" / "train.py", *TINY, "hydra.run.dir=killed",
         "eval.monitor_tasks=200", "eval.monitor_every=3"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "results.json").exists()
    killed = torch.load(last, weights_only=True)
    assert 0 < killed["global_step"] < 6
    before = json.loads((tmp_path / "killed" / "run.json").read_text())
    assert before["status"] == "running"

    run = tmp_path / "killed"
    done = script("train.py", *TINY, f"ckpt_path={last}", "hydra.run.dir=killed", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert same_weights(run, tiny_run)
    resumed, whole = (json.loads((f / "results.json").read_text()) for f in (run, tiny_run))
    assert resumed["test"] == whole["test"]
    assert resumed["steps"] == 6
    assert (run / "metrics.csv").read_text() == (tiny_run / "metrics.csv").read_text()
    assert resumed["interruptions"] == 1
    assert resumed["train_seconds"] > killed["callbacks"]["TrainingTime"]["train_seconds"] > 0
    assert resumed["started"] == before["started"]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr

    legs = sorted((run / "wandb").glob(f"offline-run-*-{before['wandb_id']}"))
    assert len(legs) == 2 == len(list((run / "wandb").glob("offline-run-*")))
    sync = [Path(sys.executable).with_name("wandb"), "sync", "--dry-run", *legs]
    told = subprocess.run(sync, env=environment, capture_output=True, text=True, check=True)
    assert "Would sync 2 run(s)" in told.stdout + told.stderr


def listen() -> None:
    """Heed an interrupt even where the tests themselves run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_while_it_starts_ends_it_quietly(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Among the imports, and when the run has begun and not yet trained."""
    for begun in False, True:
        process = subprocess.Popen(
            [sys.executable, ROOT / "src" / "train.py", "data=sinusoid", "logger=csv", "eval.tasks=9999",
             "hydra.run.dir=run", "trainer.max_steps=0"],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=listen,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while (
            begun and not (tmp_path / "run" / "run.json").exists() and time.monotonic() < deadline
        ):
            time.sleep(0.02)
        time.sleep(0 if begun else 0.3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == (130 if begun else -signal.SIGINT)
        assert said == ""


@pytest.mark.parametrize(("asked", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_stop_saves_its_last_iteration(
    asked: signal.Signals, status: int, environment: dict[str, str], tmp_path: Path
) -> None:
    """The signal goes to its whole group, as a terminal's does: workers that draw episodes heed none."""
    process = subprocess.Popen(
        [sys.executable, ROOT / "src" / "train.py", "data=sinusoid", "logger=csv", "hydra.run.dir=run",
         "trainer.max_steps=1000000", "trainer.progress=false", "trainer.log_every=2", "data.workers=1"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=listen, start_new_session=True,
    )  # fmt: skip
    metrics, deadline = tmp_path / "run" / "metrics.csv", time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, asked)
    try:
        said, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == status
    assert "go on with ckpt_path=" in said
    assert "Traceback" not in errors
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    found = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert found["global_step"] > 0


def test_a_finished_run_can_be_made_longer(script: Script, tiny_run: Path, tmp_path: Path) -> None:
    done = script(
        "train.py", *TINY, "trainer.max_steps=9", "logger=csv", "hydra.run.dir=longer",
        f"ckpt_path={tiny_run}/checkpoints/last.ckpt", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "longer" / "results.json").read_text())["steps"] == 9


def test_no_iterations_evaluate_the_random_initialisation(script: Script, tmp_path: Path) -> None:
    done = script(
        "train.py", "data=sinusoid", "trainer.max_steps=0", "trainer.progress=false", "eval.tasks=20",
        "logger=csv", "hydra.run.dir=random", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "random" / "results.json").read_text())
    assert results["steps"] == 0
    assert set(results["test"]) == {"mse", "ci95", "tasks", "diverged"}


def test_tasks_that_diverge_count_and_are_counted(script: Script, tmp_path: Path) -> None:
    """At an absurd step size the error of every task is infinite, and none of them is dropped."""
    done = script(
        "train.py", "data=sinusoid", "trainer.max_steps=1", "trainer.progress=false", "eval.tasks=1",
        "eval.inner_lr=1e30", "algo.inner_optimizer=sgd", "eval.monitor_every=0", "logger=csv",
        "hydra.run.dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    infinite = float("inf")
    assert results["test"] == {"mse": infinite, "ci95": infinite, "tasks": 1, "diverged": 1}
    assert read_scores(tmp_path / "run" / "scores.npz").scores["mse"].tolist() == [infinite]


def test_a_multirun_gives_each_job_a_run_of_its_own(script: Script, tmp_path: Path) -> None:
    done = script("train.py", "--multirun", *TINY, "seed=0,1", "eval.monitor_every=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = sorted(tmp_path.glob("outputs/sweeps/*/reptile_glyphs/*"))
    seeds = [json.loads((run / "results.json").read_text())["seed"] for run in runs]
    assert seeds == [0, 1]
    assert all(len(list((run / "wandb").glob("offline-run-*"))) == 1 for run in runs)


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions_train_and_evaluate(
    script: Script, tmp_path: Path, tiny_run: Path, precision: str
) -> None:
    """Near the weights of float32, and not the same."""
    options = f"trainer.precision={precision}", "trainer.matmul=high", "logger=csv"
    done = script("train.py", *TINY, *options, "hydra.run.dir=run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, usual = (
        weights(run)["meta_parameters.phi"].float() for run in (tmp_path / "run", tiny_run)
    )
    assert not torch.equal(found, usual)
    torch.testing.assert_close(found, usual, rtol=0, atol=0.05)


def test_many_ranks_and_a_sweep_do_not_go_together(script: Script, tmp_path: Path) -> None:
    done = script("train.py", "--multirun", *TINY, "trainer.devices=2", "seed=0,1", cwd=tmp_path)
    assert done.returncode != 0
    assert "trainer.devices=2 cannot go with --multirun" in done.stdout


MISTAKES = {
    "a misspelt key": (["algo.inner_stepz=3"], "did you mean algo.inner_steps"),
    "more ways than classes": (["data.ways=500"], "data.ways"),
    "more shots than images": (["data.shots=30"], "data.shots"),
    "no such checkpoint": (["ckpt_path=nowhere.ckpt"], "nowhere.ckpt is not a file"),
    "a precision that underflows": (["trainer.precision=16-mixed"], "did you mean bf16-mixed"),
    "another image size": (["model.image_size=40"], "does not take inputs of shape (1, 28, 28)"),
    "more colours": (["model.in_channels=3"], "does not take inputs of shape (1, 28, 28)"),
    "no GPU": (["trainer.accelerator=gpu"], "trainer.accelerator=cpu"),
    "no archive": (
        ["data=omniglot", "data.root=empty", "data.source.download=false"],
        "images_background.zip",
    ),
    "no mini-ImageNet": (["data=miniimagenet", "data.root=empty"], "data.root"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_ends_in_one_sentence(what: str, script: Script, tmp_path: Path) -> None:
    overrides, words = MISTAKES[what]
    done = script("train.py", *TINY, "logger=csv", *overrides, cwd=tmp_path)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error:")] == [
        done.stderr.splitlines()[-1]
    ]
    assert not list(tmp_path.rglob("results.json"))


def test_a_checkpoint_of_another_network_is_refused(
    script: Script, tiny_run: Path, tmp_path: Path
) -> None:
    done = script(
        "train.py", *TINY, "logger=csv", "model.filters=32",
        f"ckpt_path={tiny_run}/checkpoints/last.ckpt", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "was written with model.filters=16, and this run has 32" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_diverges_stops_and_keeps_its_last_good_weights(
    script: Script, tmp_path: Path
) -> None:
    done = script(
        "train.py", "data=sinusoid", "logger=csv", "trainer.progress=false", "algo.outer_lr=1e12",
        "eval.monitor_every=0", "hydra.run.dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "outer iteration" in done.stderr
    assert "Traceback" not in done.stderr
    journal = json.loads((tmp_path / "run" / "run.json").read_text())
    assert journal["status"] == "failed"
    assert "is not finite" in journal["error"]
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path / "run").values())
