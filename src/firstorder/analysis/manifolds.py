"""Section 5.2, drawn: Reptile goes back and forth between the manifolds of solutions.

Two tasks in the plane, each solved on a circle: L(phi) = s/2 (|phi - c| - r)^2. Gradient descent on
it runs straight to the nearest solution, so that many inner steps are the projection of Eq. 44, and
the point of least mean squared distance is half-way between the circles on the line of their
centres. The second task is steeper: its expected loss is least elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import torch
from annotated_types import Len
from torch import Tensor

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.analysis.base import Analysis
from firstorder.inner_loop import Batch, trajectory
from firstorder.settings import Count, StepSize, check_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Circle = tuple[float, float, float]  # centre x, centre y, radius


def circle_loss(phi: Tensor, center: Tensor, shape: Tensor) -> Tensor:
    """Return s/2 (|phi - c| - r)^2 for `shape` = (r, s): zero on the circle, s its steepness."""
    radius, steepness = shape
    return steepness / 2 * ((phi - center).norm() - radius).square()


def between(one: Circle, other: Circle, weights: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Return the point, (2,), of least w_1 d_1^2 + w_2 d_2^2, for distances d to disjoint circles."""
    centers = torch.tensor([one[:2], other[:2]], dtype=torch.float64)
    gap = centers[1] - centers[0]
    along = gap / gap.norm()
    nearest = centers[0] + one[2] * along, centers[1] - other[2] * along
    point: Tensor = (weights[0] * nearest[0] + weights[1] * nearest[1]) / sum(weights)
    return point


@dataclass(frozen=True, kw_only=True)
class Manifolds(Analysis):
    """Run algorithms on the two tasks in turn and keep where they went.

    Attributes:
        algorithms: those to run, `MetaAlgorithm`s by name.
        first, second: the circles (x, y, radius) that solve the two tasks; they must not meet.
        steepness: s of the second task; that of the first is 1.
        start: the initialisation.
        iterations: outer iterations, one task each; the outer step size falls to 0 over them.
    """

    algorithms: Any
    first: Annotated[Sequence[float], Len(3, 3)] = (-0.3, 3.2, 2.4)
    second: Annotated[Sequence[float], Len(3, 3)] = (0.5, -3.4, 2.6)
    steepness: StepSize = 5.0
    start: Annotated[Sequence[float], Len(2, 2)] = (-3.0, -0.2)
    iterations: Count = 400

    def __post_init__(self) -> None:
        check_fields(self, "analysis")
        (x, y, r), (u, v, q) = self.circles
        if (x - u) ** 2 + (y - v) ** 2 <= (r + q) ** 2:
            raise ValueError(
                "analysis.first and analysis.second meet: draw circles that lie apart, or there is no"
                " point between them"
            )

    @property
    def circles(self) -> tuple[Circle, Circle]:
        """The solutions of both tasks."""
        one, other = (tuple(map(float, circle)) for circle in (self.first, self.second))
        return one, other  # type: ignore[return-value]

    @property
    def tasks(self) -> list[Batch]:
        """Both tasks, as (centre, (radius, steepness))."""
        return [
            (torch.tensor(circle[:2]).double(), torch.tensor([circle[2], s]).double())
            for circle, s in zip(self.circles, (1.0, self.steepness), strict=True)
        ]

    @property
    def least_distance(self) -> list[float]:
        """The point of least mean squared distance to both circles (Eq. 42)."""
        return between(*self.circles).tolist()

    @property
    def least_loss(self) -> list[float]:
        """The point of least expected loss (Eq. 6-7)."""
        return between(*self.circles, (1.0, self.steepness)).tolist()

    def measure(self) -> pd.DataFrame:
        """Return a row for each point: `inner` 0 is phi itself, then come the inner loop's steps."""
        rows = []
        for name, algorithm in self.algorithms.items():
            phi, state = torch.tensor(self.start).double(), ()
            for iteration in range(self.iterations):
                task = iteration % 2
                rows += [
                    (name, iteration, task, inner, *point.tolist())
                    for inner, point in enumerate(self.inner_points(algorithm, phi, task))
                ]
                batches = [self.tasks[task]] * algorithm.inner_steps
                context = Context(iteration=iteration, iterations=self.iterations)
                gradient = algorithm.meta_gradient(
                    circle_loss, {"phi": phi}, state, batches, context
                )
                phi = phi - algorithm.outer_lr_at(context) * gradient.direction["phi"]
            rows.append((name, self.iterations, self.iterations % 2, 0, *phi.tolist()))
        return pd.DataFrame(rows, columns=["algorithm", "iteration", "task", "inner", "x", "y"])

    def inner_points(self, algorithm: MetaAlgorithm, phi: Tensor, task: int) -> list[Tensor]:
        """Return phi and where the inner loop goes from there."""
        batches = [self.tasks[task]] * algorithm.inner_steps
        loop = algorithm.inner(circle_loss, {"phi": phi}, Context())
        return [
            phi,
            *(step.phi for step in trajectory(*loop, (), batches)),
        ]

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return where each algorithm ended, beside the two points that theory knows."""

        def row(name: str, x: float, y: float) -> dict[str, str]:
            distances = [abs(((x - u) ** 2 + (y - v) ** 2) ** 0.5 - r) for u, v, r in self.circles]
            loss = (distances[0] ** 2 + self.steepness * distances[1] ** 2) / 4
            return {
                "point": name,
                "x, y": f"{x:.4f}, {y:.4f}",
                "mean squared distance / 2": f"{sum(d**2 for d in distances) / 4:.5f}",
                "mean loss": f"{loss:.5f}",
            }

        last = table[table.iteration == self.iterations]
        rows = [row(str(end.algorithm), end.x, end.y) for end in last.itertuples()]
        rows.append(row("least mean squared distance", *self.least_distance))
        rows.append(row("least expected loss", *self.least_loss))
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.manifolds import draw_manifolds  # matplotlib is slow to load

        points = {
            "least mean squared distance": self.least_distance,
            "least expected loss": self.least_loss,
        }
        return draw_manifolds(table, self.circles, points)
