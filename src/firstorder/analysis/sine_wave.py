"""Section 4: random, MAML and Reptile initialisations on one sampled sine wave (Figure 1)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import torch
from annotated_types import Len

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.analysis.base import Analysis
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.checkpoint import read_checkpoint
from firstorder.run.learner import MetaLearner
from firstorder.run.trainer import TrainerConfig, build_trainer
from firstorder.settings import Count, CountOrZero, Seed, check_fields
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class SineWave(Analysis):
    """Fit initialisations to the ten points of one wave, step by step.

    Attributes:
        algorithms: those to train, `MetaAlgorithm`s by name. The first also says how the random
            initialisation is fitted.
        source: where waves come from, a `TaskSource`.
        model: the network; its own parameters are the random initialisation.
        checkpoints: trained runs, by name; an algorithm without one is trained here.
        outer_steps: outer iterations to train for.
        shots: points of the wave that are seen.
        train_shots: points of a training wave, the tail included.
        counts: inner steps after which the fit is kept.
        task: number of the test wave.
        seed: of the tasks.
    """

    algorithms: Any
    source: Any
    model: Any
    checkpoints: dict[str, str] = field(default_factory=dict)
    outer_steps: Count = 2000
    shots: Count = 10
    train_shots: Count = 50
    counts: Annotated[Sequence[CountOrZero], Len(1)] = (0, 1, 8, 32)
    task: CountOrZero = 0
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, "analysis")
        if not max(self.counts):
            raise ValueError(f"analysis.counts={list(self.counts)} must name a step above 0")

    def measure(self) -> pd.DataFrame:
        """Return a row for each point: `kind` is "support", "wave" or "fit", the fit after `steps`."""
        first = next(iter(self.algorithms.values()))
        learners = {RANDOM: self.learner(first)}
        for name, algorithm in self.algorithms.items():
            learners[name] = self.learner(algorithm)
            if name in self.checkpoints:
                self.load(learners[name], self.checkpoints[name])
            else:
                self.train(learners[name])
        wave = self.datamodule(first).test_sampler()[self.task].to_float()
        rows = [(name, kind, steps, x, y) for name, learner in learners.items()
                for kind, steps, x, y in self.fits(learner, wave)]  # fmt: skip
        return pd.DataFrame(rows, columns=["initialisation", "kind", "steps", "x", "y"])

    def learner(self, algorithm: MetaAlgorithm) -> MetaLearner:
        """Return the random initialisation, to be trained by an algorithm."""
        module = copy.deepcopy(self.model)
        return MetaLearner(algorithm, module, self.source.kind, outer_steps=self.outer_steps)

    def datamodule(self, algorithm: MetaAlgorithm) -> EpisodeDataModule:
        """Return the waves to train on and to test on."""
        evaluation = EvaluationSettings(
            inner_steps=max(self.counts), inner_batch_size=self.shots, query_shots=50
        )
        return EpisodeDataModule(
            self.source, algorithm, evaluation, seed=self.seed, ways=1, shots=self.shots,
            train_shots=self.train_shots, outer_steps=self.outer_steps,
        )  # fmt: skip

    def train(self, learner: MetaLearner) -> None:
        """Train as src/train.py does, on the CPU, and leave nothing behind."""
        config = TrainerConfig(max_steps=self.outer_steps, accelerator="cpu", progress=False)
        trainer = build_trainer(None, [], config)
        trainer.fit(learner, self.datamodule(learner.algorithm))

    def load(self, learner: MetaLearner, path: str) -> None:
        """Read what a run has learnt.

        Raises:
            ValueError: it is not a checkpoint, or one of another network or inner optimiser.
        """
        try:
            learner.restore(read_checkpoint(path))
        except RuntimeError as error:
            raise ValueError(
                f"{path} does not fit this network and inner optimiser: give analysis the settings of"
                " its config.yaml"
            ) from error

    def fits(self, learner: MetaLearner, wave: Episode) -> list[tuple[str, int, float, float]]:
        """Return the wave, its support points, and the fits after each of `counts` steps."""
        points = next(iter(learner.example(wave).weights.values()))
        curves = {("support", 0): (wave.support_x, wave.support_y), ("wave", 0): wave[2:4]}
        for count in self.counts:
            with torch.no_grad():
                fit = learner.network(points[count], wave.query_x)
            curves["fit", count] = (wave.query_x, fit)
        return [
            (kind, count, *point)
            for (kind, count), (x, y) in curves.items()
            for point in zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)
        ]

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the mean squared error over the wave, a row an initialisation, a column a count."""
        rows = []
        for name, points_of in table.groupby("initialisation", sort=False):
            wave = points_of[points_of.kind == "wave"].y.to_numpy()
            fits = points_of[points_of.kind == "fit"].groupby("steps").y
            errors = {
                f"{steps} steps": f"{((fit.to_numpy() - wave) ** 2).mean():.3f}"
                for steps, fit in fits
            }
            rows.append({"initialisation": name, **errors})
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.sine_wave import draw_sine_wave  # matplotlib is slow to load

        return draw_sine_wave(table)
