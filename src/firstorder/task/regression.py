"""Few-shot regression, such as the sine waves of Section 4."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from firstorder.network import Network, predict
from firstorder.task.base import Example, Scores, TaskKind, interval, where_finite
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of each example, (n,), averaged over the outputs (Eq. 8)."""
    return (prediction - target).square().flatten(1).mean(1)


class Regression(TaskKind):
    """Predict numbers from a few examples; scored by the mean squared error over the query set."""

    criterion = staticmethod(squared_error)
    protocols = ("mse",)
    measure = "mse"
    higher_is_better = False

    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Return the mean squared error "mse", (tasks,)."""
        prediction = predict(network, phi, tasks.query_x)
        error = (prediction - tasks.query_y).square().flatten(1).mean(1)
        return {"mse": where_finite(prediction, lambda: error)}

    def score_if_diverged(self, tasks: Episode) -> float:
        return float("inf")

    def summarise(self, scores: Scores) -> dict[str, Any]:
        return interval("mse", scores["mse"])

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        text = f"{summary['mse']:.4f} ± {summary['ci95']:.4f}"
        return [("mean squared error", text, summary["tasks"])]

    def draw(self, example: Example) -> "Figure":
        """Draw the fits: a curve, an image of coordinates' colours, or predictions against targets."""
        from firstorder.figures import example as figures  # matplotlib is slow to load

        task, network = example.task, example.network
        fits = {
            name: [(count, network.predict(points[count], task.query_x).detach())
                   for count in sorted({0, 1, min(8, len(points) - 1), len(points) - 1})]
            for name, points in example.weights.items()
        }  # fmt: skip
        if task.query_x[0].numel() == task.query_y[0].numel() == 1:
            return figures.draw_curves(task, fits)
        grid = figures.raster(task.query_x)
        if grid and task.query_y[0].numel() in (1, 3):
            return figures.draw_image(task, fits, *grid)
        return figures.draw_scatter(task, fits)
