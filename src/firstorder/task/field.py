"""Fields: functions of coordinates, such as a picture, that a network is fitted to."""

from typing import Any

from torch import Tensor

from firstorder.network import Network, predict
from firstorder.task.base import Scores, TaskKind, where_finite
from firstorder.task.episode import Episode
from firstorder.task.regression import Regression


class Field(Regression):
    """Predict a function with values in [0, 1] from its coordinates; scored in decibels.

    The score of a task is the peak signal-to-noise ratio, PSNR = -10 log10 MSE for a peak of 1, as for
    learned initialisations of neural fields (Tancik et al. 2021).
    """

    protocols = ("psnr",)
    measure = "psnr"
    higher_is_better = True

    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Return the PSNR over the query points, (tasks,), in dB."""
        prediction = predict(network, phi, tasks.query_x)
        error = (prediction - tasks.query_y).square().flatten(1).mean(1)
        return {"psnr": where_finite(prediction, lambda: -10 * error.log10())}

    def score_if_diverged(self, tasks: Episode) -> float:
        """Return 0 dB: an error as large as the peak."""
        return 0.0

    def summarise(self, scores: Scores) -> dict[str, Any]:
        return TaskKind.summarise(self, scores)

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        psnr = summary["psnr"]
        return [("PSNR", f"{psnr['psnr']:.2f} ± {psnr['ci95']:.2f} dB", psnr["tasks"])]

    def shown(self, score: float) -> str:
        return f"{score:.1f} dB"
