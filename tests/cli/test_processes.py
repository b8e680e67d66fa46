"""Commands as real processes: what they say, and what a sweep makes of their jobs."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.conftest import Script

SMALL = [
    "data=sinusoid", "logger=csv", "trainer.progress=false", "trainer.max_steps=4", "eval.tasks=4",
    "eval.monitor_every=2", "eval.monitor_tasks=2",
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "override", "told"),
    [
        ("train.py", "trainer.threads=100000", "trainer.threads=100000 must be at most 1024"),
        ("train.py", "seed=null", "seed=null must be a whole number"),
        ("analyze.py", "algo._target_=no.such.Thing", "algo._target_=no.such.Thing cannot be"),
        ("evaluate.py", "eval.tasks=0", "eval.tasks=0 must be at least 1"),
        ("show.py", "data.ways=1", "data.ways=1 must be at least 2"),
        ("prepare.py", "trainer.devices=0", "trainer.devices=0 must be at least 1"),
    ],
)
def test_a_process_ends_in_the_sentence_and_leaves_no_results(
    name: str, override: str, told: str, script: Script, tmp_path: Path
) -> None:
    given = ["ckpt_path=none.ckpt"] if name == "evaluate.py" else []
    if name != "analyze.py":
        given += ["logger=csv"]
    done = script(name, override, *given, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {told}")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.csv"))


def test_a_failed_job_does_not_end_a_sweep(script: Script, tmp_path: Path) -> None:
    """And options may stand between overrides."""
    done = script("train.py", "algo.inner_lr=-1,0.02", "--multirun", *SMALL, cwd=tmp_path)
    assert done.returncode == 1
    assert "algo.inner_lr=-1.0 must be above 0" in done.stdout
    assert "Traceback" not in done.stderr
    (results,) = tmp_path.glob("outputs/sweeps/*/reptile_sinusoid/*/results.json")
    assert results.parent.name == "1"


def test_a_sweeper_is_given_the_objective(script: Script, tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    done = script(
        "train.py", *SMALL, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1",
        "hydra.sweeper.direction=maximize", "algo.inner_lr=interval(0.01,0.02)", "objective=test",
        "hydra.sweep.dir=sweep", "--multirun", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.glob("sweep/**/results.json")
    best = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml").best_value
    assert best == pytest.approx(-OmegaConf.load(results).test.mse)
