"""Section 4: random, MAML and Reptile initialisations on one sampled sine wave (Figure 1)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch

from firstorder.analysis.initialisations import Initialisations
from firstorder.run.learner import MetaLearner
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class SineWave(Initialisations):
    """Fit initialisations to the ten points of one wave, step by step; settings of `Initialisations`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source.input_shape != (1,) or self.source.output_shape != (1,):
            raise ValueError(
                f"data={self.source.name} has no curves y = f(x), which analysis=sine_wave draws: choose"
                " data=sinusoid or data=signals, or analysis=fields"
            )

    def measure(self) -> pd.DataFrame:
        """Return a row for each point: `kind` is "support", "wave" or "fit", the fit after `steps`."""
        learners = self.learners()
        datamodule = self.datamodule(next(iter(self.algorithms.values())))
        wave = datamodule.test_sampler()[self.task].to_float()
        rows = [(name, kind, steps, x, y) for name, learner in learners.items()
                for kind, steps, x, y in self.fits(learner, wave)]  # fmt: skip
        return pd.DataFrame(rows, columns=["initialisation", "kind", "steps", "x", "y"])

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
