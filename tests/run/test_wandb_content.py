"""What Weights & Biases is given, read back from offline runs with its own tool."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from firstorder.run.loggers import LONGEST, shortened
from firstorder.run.wandb_content import adaptation, last_iteration, means
from tests.conftest import Script

GROUP = "reptile_glyphs,eval.inner_steps=3,model.filters=16,trainer.max_steps=6"
PROTOCOLS = "transductive", "non_transductive"


def inspect(leg: Path, *options: str) -> str:
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", *options, leg]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def legs(folder: Path) -> list[Path]:
    return sorted((folder / "wandb").glob("offline-run-*"))


def summary(leg: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(inspect(leg, "--summary"))
    return found


def records(leg: Path, kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, inspect(leg).splitlines())
    return [line[kind] for line in lines if line["type"] == kind]


def table(leg: Path, name: str) -> list[dict[str, Any]]:
    path = leg / "files" / summary(leg)["summary"][name]["path"]
    content = json.loads(path.read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


@pytest.fixture(scope="module")
def leg(tiny_run: Path) -> Path:
    (only,) = legs(tiny_run)
    return only


@pytest.fixture(scope="module")
def results(tiny_run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tiny_run / "results.json").read_text())
    return found


def test_a_run_says_what_it_is(leg: Path, results: dict[str, Any]) -> None:
    found = summary(leg)
    assert found["state"] == "finished"
    assert found["exit_code"] == 0
    assert found["name"] == f"{GROUP},seed=0"
    assert found["tags"] == ["reptile", "glyphs", "5-way 5-shot"]
    (run, *_) = records(leg, "run")
    assert (run["run_group"], run["job_type"]) == (GROUP, "train")
    told = found["config"]["run"]
    assert told["fingerprint"] == results["data"]["fingerprint"]
    assert told["classes"] == results["data"]["classes"]
    assert told["commit"] == results["commit"]
    assert (
        told["parameters"] == 7509
    )  # (1 + 16 + 16 + 16) x 9 x 16, scales and shifts, 5 x (64 + 1)
    assert found["config"]["algo"]["inner_steps"] == 5


def test_curves_stand_against_the_outer_iteration(leg: Path) -> None:
    rows = [row["item"] for row in records(leg, "history")]
    losses = [row for row in rows if "train/loss_before" in row]
    assert [row["trainer/global_step"] for row in losses] == [1, 3, 5]
    assert all({"train/loss_after", "train/outer_lr"} <= row.keys() for row in losses)
    learning = [row for row in rows if "val/transductive" in row]
    assert [row["trainer/global_step"] for row in learning] == [2, 5]
    axes = {m.get("glob_name"): m.get("step_metric") for m in records(leg, "metric")}
    assert {axes[f"{place}/*"] for place in ("train", "val", "test")} == {"trainer/global_step"}


def test_the_adaptation_curve_stands_against_the_inner_step(
    leg: Path, results: dict[str, Any]
) -> None:
    """As lines, which a dashboard averages over seeds, as a table, and as a plot."""
    curve = results["adaptation"]
    expected = list(zip(curve["steps"], *(curve[p] for p in PROTOCOLS), strict=True))
    rows = [row["item"] for row in records(leg, "history")]
    names = "adaptation/inner_step", *(f"adaptation/{p}" for p in PROTOCOLS)
    assert [tuple(r[n] for n in names) for r in rows if names[0] in r] == expected
    assert [tuple(row.values()) for row in table(leg, "adaptation_table")] == expected
    assert {row["lineKey"] for row in table(leg, "adaptation_plot_table")} == {*PROTOCOLS}
    axes = {m.get("glob_name"): m.get("step_metric") for m in records(leg, "metric")}
    assert axes["adaptation/*"] == "adaptation/inner_step"


def test_the_final_test_is_a_table_a_summary_and_a_point_at_the_last_iteration(
    leg: Path, results: dict[str, Any]
) -> None:
    test, found = results["test"], summary(leg)["summary"]
    assert found["test"] == test
    rows = {row["protocol"]: row for row in table(leg, "test_table")}
    (point,) = (r["item"] for r in records(leg, "history") if "test/transductive" in r["item"])
    assert point["trainer/global_step"] == 5
    for protocol in PROTOCOLS:
        assert point[f"test/{protocol}"] == rows[protocol]["mean"] == test[protocol]["accuracy"]
        assert rows[protocol]["ci95"] == test[protocol]["ci95"]
        assert (rows[protocol]["group"], rows[protocol]["seed"]) == (GROUP, 0)
    assert (leg / "files" / found["test_episode"]["path"]).is_file()


def test_the_checkpoint_is_an_artifact_that_is_not_copied(leg: Path, tiny_run: Path) -> None:
    (model,) = (a for a in records(leg, "artifact") if a["type"] == "model")
    assert model["name"] == f"phi-{summary(leg)['run_id']}"
    assert "iteration-6" in model["aliases"]
    assert json.loads(model["metadata"])["steps"] == 6
    (file,) = model["manifest"]["contents"]
    assert file["local_path"] == str(tiny_run / "checkpoints" / "last.ckpt")


def test_an_evaluation_is_linked_to_its_training(
    script: Script, tiny_run: Path, tmp_path: Path, leg: Path, results: dict[str, Any]
) -> None:
    done = script(
        "evaluate.py", f"ckpt_path={tiny_run}/checkpoints/last.ckpt", "data.shots=1", "eval.tasks=4",
        "hydra.run.dir=again", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (other,) = legs(tmp_path / "again")
    found = summary(other)
    assert found["name"] == f"eval {GROUP},data.shots=1,seed=0"
    (run, *_) = records(other, "run")
    assert (run["run_group"], run["job_type"]) == (f"{GROUP},data.shots=1", "eval")
    assert found["config"]["trained"] == {
        "wandb_id": summary(leg)["run_id"],
        **{name: results[name] for name in ("commit", "dirty", "command")},
    }
    assert found["summary"]["trainer/global_step"] == 5
    assert not [a for a in records(other, "artifact") if a["type"] == "model"]
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert again["trained"] == found["config"]["trained"]


def test_jobs_of_a_sweep_share_a_group_and_a_failed_one_says_so(
    script: Script, tmp_path: Path
) -> None:
    done = script(
        "train.py", "--multirun", "data=sinusoid", "seed=0,1", "algo.outer_lr=1.0,1e30",
        "trainer.max_steps=5", "trainer.progress=false", "trainer.compile=never", "eval.tasks=4",
        "eval.monitor_every=0", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    runs = [leg for run in tmp_path.glob("outputs/sweeps/*/*/*") for leg in legs(run)]
    starts = {leg: records(leg, "run")[0] for leg in runs}
    assert len({start["run_id"] for start in starts.values()}) == 4
    assert len({start["run_group"] for start in starts.values()}) == 2
    for leg, start in starts.items():
        assert summary(leg)["exit_code"] == ("outer_lr=1e+30" in start["run_group"])


def test_a_long_name_is_cut_and_stays_different() -> None:
    long = [f"{'algo.inner_steps=3,' * 10}{end}" for end in "ab"]
    cut = [shortened(name) for name in long]
    assert [len(str(name)) for name in cut] == [LONGEST, LONGEST] == [127, 127]
    assert cut[0] != cut[1]
    assert shortened("short") == "short"
    assert shortened(None) is None


def test_one_protocol_is_called_by_its_measure() -> None:
    test = {"mse": 2.0, "ci95": 0.5, "tasks": 3, "diverged": 0}
    assert means(test) == {"test/mse": 2.0, "test/mse_ci95": 0.5}


def test_what_was_not_measured_is_not_there() -> None:
    assert adaptation({}) == ([], {})
    assert (
        last_iteration({"steps": 0}) == 0
    )  # the random initialisation, at the start of the curves
