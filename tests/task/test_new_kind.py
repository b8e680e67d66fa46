"""A new kind of task is one file of somebody else's: it trains without a change to the package."""

import json
from pathlib import Path

from tests.conftest import Script

STRANGER = '''
"""Dynamics: a task is a pendulum of unknown length, seen in single steps and asked for its course."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from firstorder.data.source import Task
from firstorder.network import predict
from firstorder.task.base import Example, TaskKind

AHEAD, PAUSE = 10, 0.1


class Course(TaskKind):
    """Learn the change in one step; scored by how far off `AHEAD` steps of one's own predictions end."""

    protocols = ("course",)
    measure = "distance"
    higher_is_better = False

    @staticmethod
    def criterion(prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).abs().sum(-1)

    def score(self, network: Any, phi: Tensor, tasks: Any) -> dict[str, Tensor]:
        state = tasks.query_x
        for _ in range(AHEAD):
            state = state + predict(network, phi, state)
        distance = (state - tasks.query_y).norm(dim=-1).mean(-1)
        return {"course": torch.where(distance.isfinite(), distance, torch.nan)}

    def score_if_diverged(self, tasks: Any) -> float:
        return float("inf")

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        return [("course", f"{summary['course']['distance']:.2f} off", summary["course"]["tasks"])]

    def draw(self, example: Example) -> Figure:
        figure = Figure()
        figure.add_subplot().scatter(*example.task.query_y[0].T)
        return figure


class Pendulums:
    """Draw pendulums; a state is (angle, angular velocity)."""

    name, kind, classes, fingerprint = "pendulums", Course(), {}, "g"
    input_shape = output_shape = (2,)

    def __init__(self, longest: float = 2.0) -> None:
        self.longest = longest

    def prepare(self) -> None: ...

    def setup(self) -> None: ...

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        pull = 9.8 / rng.uniform(0.5, self.longest)

        def after(state: np.ndarray, steps: int) -> np.ndarray:
            for _ in range(steps):
                velocity = state[:, 1] - PAUSE * pull * np.sin(state[:, 0])
                state = np.stack([state[:, 0] + PAUSE * velocity, velocity], 1)
            return state.astype(np.float32)

        seen, asked = (rng.uniform(-1, 1, (n, 2)).astype(np.float32) for n in (shots, query_shots))
        return Task(seen, after(seen, 1) - seen, asked, after(asked, AHEAD))
'''

YAML = """# @package _global_
defaults:
  - sinusoid
  - _self_

data:
  source:
    _target_: pendulums.Pendulums
"""


def test_a_strangers_kind_of_task_trains(script: Script, tmp_path: Path) -> None:
    (tmp_path / "pendulums.py").write_text(STRANGER)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "pendulums.yaml").write_text(YAML)
    distances = []
    for steps in (0, 100):
        done = script(
            "train.py", "--config-dir=conf", "data=pendulums", "plugins=[pendulums]",
            f"trainer.max_steps={steps}", "eval.tasks=20", "trainer.progress=false", "logger=csv",
            "eval.monitor_every=0", f"hydra.run.dir={steps}",
            cwd=tmp_path, PYTHONPATH=str(tmp_path),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "off" in done.stdout
        test = json.loads((tmp_path / str(steps) / "results.json").read_text())["test"]
        assert test["course"]["tasks"] == 20
        assert (tmp_path / str(steps) / "figures" / "test_episode.png").exists()
        distances.append(test["course"]["distance"])
    assert distances[1] < distances[0]
