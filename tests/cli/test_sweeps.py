"""Sweeps that go on, as real processes."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest
from omegaconf import OmegaConf

from firstorder.cli.resolvers import LONGEST, run_group, run_name, scaled
from firstorder.cli.resuming import first_difference
from tests.conftest import ROOT, TINY, Script

SWEEP = [*TINY, "logger=csv", "eval.monitor_every=0", "resume=auto", "hydra.sweep.dir=sweep"]


def jobs(folder: Path) -> dict[str, list[str]]:
    """Return what became of each job, one word a call of the sweep."""
    told: dict[str, list[str]] = {}
    for line in (folder / "sweep" / "jobs.jsonl").read_text().splitlines():
        job = json.loads(line)
        if job["status"] != "started":
            told.setdefault(job["job"], []).append(job["status"])
    return told


def test_failures_stay_alone_and_the_same_command_does_only_what_is_missing(
    script: Script, tmp_path: Path
) -> None:
    command = ["train.py", "--multirun", *SWEEP, "algo.inner_lr=0.001,-1", "seed=0,1"]
    first = script(*command, cwd=tmp_path)
    assert first.returncode == 1
    said = first.stdout.count("algo.inner_lr=-1.0 must be above 0")
    assert said == 4  # when it happens and in the table, for two jobs
    assert "Traceback" not in first.stderr
    results = sorted(tmp_path.glob("sweep/*/*/results.json"))
    assert len(results) == 2
    written = [path.stat().st_mtime_ns for path in results]
    again = script(*command, cwd=tmp_path)
    assert again.returncode == 1
    assert "was finished" in again.stdout
    assert [path.stat().st_mtime_ns for path in results] == written
    assert sorted(jobs(tmp_path).values()) == [["failed"] * 2] * 2 + [["finished", "skipped"]] * 2


@pytest.mark.skipif(find_spec("ray") is not None, reason="the extra ray is there")
def test_a_launcher_of_an_extra_that_is_not_there_names_the_extra(
    script: Script, tmp_path: Path
) -> None:
    ended = script("train.py", "--multirun", *SWEEP, "hydra/launcher=cluster", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "error: hydra/launcher=ray is not installed: pip install -e '.[ray]'\n"


@pytest.mark.skipif(which("srun") is not None, reason="this is a machine of a SLURM cluster")
def test_slurm_where_there_is_none_is_refused_in_a_sentence(script: Script, tmp_path: Path) -> None:
    ended = script("train.py", "--multirun", *SWEEP, "hydra/launcher=slurm", cwd=tmp_path)
    assert ended.returncode == 1
    assert "there is no srun on this machine" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "launcher",
    [
        "submitit",
        pytest.param(
            "cluster",
            marks=pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
        ),
    ],
)
def test_a_launcher_of_processes_leaves_failures_alone_and_runs_them_again_only(
    launcher: str, environment: dict[str, str], tmp_path: Path
) -> None:
    jobs_of_four = ["algo.inner_lr=0.001,-1,0.002,0.003", "trainer.max_steps=2", "eval.tasks=2"]
    command = [sys.executable, ROOT / "src" / "train.py", "--multirun", *SWEEP, *jobs_of_four]
    for _ in range(2):
        done = subprocess.run(  # with Ray it ran into its timeout in a forked one
            [*command, f"hydra/launcher={launcher}"], cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        assert (
            "failed" in done.stdout
        )  # the table is as wide as the terminal, and cuts sentences up
    assert len(list(tmp_path.glob("sweep/*/*/results.json"))) == 3
    assert sorted(jobs(tmp_path).values()) == [["failed"] * 2] + [["finished", "skipped"]] * 3
    assert (tmp_path / "sweep" / "jobs.jsonl").read_text().count("-1.0 must be above 0") == 2


def test_an_unfinished_job_goes_on_from_its_checkpoint(script: Script, tmp_path: Path) -> None:
    command = [*TINY, "logger=csv", "resume=auto", "hydra.run.dir=run"]
    assert script("train.py", *command, cwd=tmp_path).returncode == 0
    (tmp_path / "run" / "results.json").unlink()
    again = script("train.py", *command, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "going on from" in again.stdout
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == 6
    other = script("train.py", *command, "algo.inner_lr=0.5", cwd=tmp_path)
    assert other.returncode != 0
    assert "holds a finished run with algo.inner_lr=0.001" in other.stderr


def test_a_runs_folder_says_what_it_is() -> None:
    assert run_name("never", "algo.inner_lr=1", 3, "now") == "now"
    assert run_name("auto", "algo.inner_lr=1,data.root=/a b", 3, "") == (
        "algo.inner_lr=1,data.root=-a-b,seed=3"
    )
    assert run_name("auto", "", 0, "") == "seed=0"
    long = [run_name("auto", "x" * 300 + end, 0, "") for end in "ab"]
    assert long[0] != long[1]
    assert all(len(name) <= LONGEST + 9 for name in long)
    assert run_group(None, "reptile", "glyphs") == "reptile_glyphs"
    assert run_group("figure3_g1", "reptile", "glyphs") == "figure3_g1"


def test_a_scale_has_a_floor_and_never_exceeds_the_whole() -> None:
    root = OmegaConf.create({"scale": 0.01})
    assert scaled(40_000, _root_=root) == 400
    assert scaled(1000, 200, _root_=root) == 200
    assert scaled(100, 200, _root_=root) == 100


def test_what_changes_no_result_is_no_difference() -> None:
    then = {"seed": 0, "trainer": {"threads": 1, "max_steps": 5}, "data": {"root": "a"}}
    now = {"seed": 0, "trainer": {"threads": 2, "max_steps": 5}, "data": {"root": "b"}}
    assert first_difference(then, now) is None
    assert first_difference(then, {**now, "seed": 1}) == ("seed", 0, 1)
