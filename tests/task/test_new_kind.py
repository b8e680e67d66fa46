"""A new kind of task is one file of somebody else's: it trains without a change to the package."""

import json
from pathlib import Path

from tests.conftest import Script

STRANGER = '''
"""Images as functions: a task is a picture, its support pixels as coordinates -> grey (as SIREN fits)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstorder.data.source import Task
from firstorder.network import predict
from firstorder.task.base import TaskKind, interval
from firstorder.task.regression import Regression


class Fields(Regression):
    """Predict a picture from its coordinates; scored by the peak signal-to-noise ratio in dB."""

    protocols = ("psnr",)
    measure = "psnr"
    higher_is_better = True

    def score(self, network: Any, phi: Tensor, tasks: Any) -> dict[str, Tensor]:
        error = (predict(network, phi, tasks.query_x) - tasks.query_y).square().flatten(1).mean(1)
        return {"psnr": -10 * error.log10()}

    def score_if_diverged(self, tasks: Any) -> float:
        return -float("inf")

    def summarise(self, scores: dict[str, Tensor]) -> dict[str, Any]:
        return TaskKind.summarise(self, scores)

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        return [("PSNR", f"{summary['psnr']['psnr']:.1f} dB", summary["psnr"]["tasks"])]


class Ripples:
    """Draw pictures of rings around a random centre."""

    name, kind, classes, fingerprint = "ripples", Fields(), {}, "rings"
    input_shape = (2,)

    def __init__(self, rings: float = 3.0) -> None:
        self.rings = rings

    def prepare(self) -> None: ...

    def setup(self) -> None: ...

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        centre = rng.uniform(-0.5, 0.5, 2)

        def pixels(n: int) -> tuple[np.ndarray, np.ndarray]:
            x = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
            grey = np.sin(self.rings * np.linalg.norm(x - centre, axis=1, keepdims=True))
            return x, grey.astype(np.float32)

        return Task(*pixels(shots), *pixels(query_shots))
'''

YAML = """# @package _global_
defaults:
  - sinusoid
  - _self_

data:
  source:
    _target_: ripples.Ripples

model:
  inputs: 2
"""


def test_a_strangers_kind_of_task_trains(script: Script, tmp_path: Path) -> None:
    (tmp_path / "ripples.py").write_text(STRANGER)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "ripples.yaml").write_text(YAML)
    done = script(
        "train.py", "--config-dir=conf", "data=ripples", "plugins=[ripples]", "trainer.max_steps=30",
        "eval.tasks=6", "trainer.progress=false", "logger=csv", "eval.monitor_every=10",
        "hydra.run.dir=run",
        cwd=tmp_path, PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "PSNR" in done.stdout
    test = json.loads((tmp_path / "run" / "results.json").read_text())["test"]
    assert test["psnr"]["tasks"] == 6
    assert (tmp_path / "run" / "figures" / "test_episode.png").exists()
