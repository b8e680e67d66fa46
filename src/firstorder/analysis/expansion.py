"""Section 5.1, measured: what meta-gradients are made of, to first order in the step size alpha.

Eq. 33-41 say that, in expectation over tasks and mini-batches,

    E[g] = a AvgGrad - b alpha AvgGradInner + O(alpha^2),

with (a, b) = (1, 2(k - 1)) for MAML, (1, k - 1) for FOMAML and (k, k(k - 1)/2) for Reptile. Here
both sides are computed and (a, b) fitted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pandas as pd
import torch
from annotated_types import Ge, Le, Len
from torch import Tensor, nn
from torch.func import grad, vmap

from firstorder.algo import FOMAML, MAML, Reptile
from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.analysis.base import Analysis
from firstorder.data.sampler import TRAIN, EpisodeSampler
from firstorder.data.source import TaskSource
from firstorder.inner_loop import Loss
from firstorder.network import Network
from firstorder.settings import Count, Seed, StepSize, check_fields
from firstorder.task.loss import TaskLoss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MINIBATCHES = 11  # of a task: a prime, see `orders`

# How each direction becomes the g of Section 5.1.
ALGORITHMS: dict[str, tuple[type[MetaAlgorithm], Callable[[float], float]]] = {
    "MAML": (MAML, lambda alpha: 1.0),  # a gradient
    "FOMAML": (FOMAML, lambda alpha: 1 / alpha),  # a weight change
    "Reptile": (Reptile, lambda alpha: 1 / alpha),
}


def predicted(algorithm: str, k: int) -> tuple[float, float]:
    """Return the paper's coefficients (a, b) of AvgGrad and -alpha AvgGradInner (Eq. 37, 39, 41)."""
    return {
        "MAML": (1.0, 2.0 * (k - 1)),
        "FOMAML": (1.0, k - 1.0),
        "Reptile": (float(k), k * (k - 1) / 2),
    }[algorithm]


def orders(prime: int) -> Tensor:
    """Return p (p - 1) orders of p mini-batches, (p (p - 1), p), in which all pairs are alike.

    They are i -> s i + t mod p for s != 0. Each ordered pair of places holds each ordered pair of
    mini-batches exactly once, so that a mean over these orders is the expectation of the paper's
    terms H_i g_j over the sample, without a sampling error of its own.
    """
    places = torch.arange(prime)
    slopes, shifts = torch.meshgrid(torch.arange(1, prime), torch.arange(prime), indexing="ij")
    return (slopes.reshape(-1, 1) * places + shifts.reshape(-1, 1)) % prime


def average_gradients(loss: Loss, phi: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return AvgGrad and AvgGradInner of one task, (d,) each (Eq. 28-29).

    AvgGradInner is the mean of H_i g_j over ordered pairs i != j, by one Hessian-vector product a
    mini-batch: sum_j H_i g_j = H_i (sum_j g_j).

    Args:
        loss: L(phi, x, y).
        phi: the initialisation.
        x, y: the task's mini-batches along the first axis.
    """
    gradients = vmap(grad(loss), (None, 0, 0))(phi, x, y)
    others = (gradients.sum(0) - gradients) / (len(x) - 1)

    def curvature(x: Tensor, y: Tensor, direction: Tensor) -> Tensor:
        return grad(lambda phi: grad(loss)(phi, x, y) @ direction)(phi)

    return gradients.mean(0), vmap(curvature)(x, y, others).mean(0)


def expected_direction(
    algorithm: str, loss: Loss, phi: Tensor, x: Tensor, y: Tensor, k: int, alpha: float
) -> Tensor:
    """Return E[g] of one task, (d,), over sequences of k of its mini-batches, by the real algorithm."""
    kind, scale = ALGORITHMS[algorithm]
    rule = kind(inner_steps=k, inner_batch_size=x.shape[1], inner_lr=alpha, inner_optimizer="sgd")

    def one(order: Tensor) -> Tensor:
        batches = [(x[i], y[i]) for i in order]
        return rule.meta_gradient(loss, {"phi": phi}, (), batches, Context()).direction["phi"]

    return scale(alpha) * vmap(one)(orders(len(x))[:, :k]).mean(0)


def fit(direction: Tensor, avg_grad: Tensor, avg_grad_inner: Tensor, alpha: float) -> list[float]:
    """Return (a, b) of direction ~ a AvgGrad - b alpha AvgGradInner, by least squares over weights.

    The columns are scaled to one length first, for alpha may be tiny.
    """
    columns = torch.stack([avg_grad, -alpha * avg_grad_inner], 1)
    lengths = columns.norm(dim=0)
    solution: Tensor = torch.linalg.lstsq(columns / lengths, direction[:, None]).solution[:, 0]
    return (solution / lengths).tolist()


@dataclass(frozen=True, kw_only=True)
class Expansion(Analysis):
    """Measure the coefficients of Eq. 33-41 for a network, its initialisation and its tasks.

    Tasks and mini-batches are drawn once and shared by both sides of the equations.

    Attributes:
        source: where tasks come from, a `TaskSource`.
        model: the network; its own parameters are the initialisation. Smooth, or the remainder need
            not fall as alpha^2.
        loss_reduction: "sum" or "mean" over a mini-batch.
        ways: classes a task.
        batch_shots: samples a class in a mini-batch, in the mean; a task is cut into 11 of them.
        tasks: how many.
        steps: the k to measure, 2 to 11.
        alphas: the inner step sizes to measure.
        seed: of the tasks.
    """

    source: Any
    model: Any
    loss_reduction: Literal["sum", "mean"] = "mean"
    ways: Count = 1
    batch_shots: Count = 10
    tasks: Count = 5
    steps: Annotated[Sequence[Annotated[int, Ge(2), Le(MINIBATCHES)]], Len(1)] = (
        2,
        3,
        4,
        5,
        6,
        7,
        8,
    )
    alphas: Annotated[Sequence[StepSize], Len(2)] = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, "analysis")

    def draw_tasks(self) -> list[tuple[Tensor, Tensor]]:
        """Return the tasks, each as its mini-batches (11, samples, ...) in double precision."""
        source: TaskSource = self.source
        source.prepare()
        source.setup()
        sampler = EpisodeSampler(
            source=source, split="train", stream=TRAIN, seed=self.seed, ways=self.ways,
            shots=MINIBATCHES * self.batch_shots, query_shots=0,
            steps=MINIBATCHES, batch_size=self.ways * self.batch_shots,
            size_settings="analysis.batch_shots",
        )  # fmt: skip

        def cut(index: int) -> tuple[Tensor, Tensor]:
            task = sampler[index].to_float()
            x, y = task.support_x[task.batch_indices], task.support_y[task.batch_indices]
            return x.double(), y.double() if y.is_floating_point() else y

        return [cut(index) for index in range(self.tasks)]

    def measure(self) -> pd.DataFrame:
        """Return a row for each algorithm, k and alpha.

        Columns: `avg_grad` and `avg_grad_inner` are the fitted (a, b), those with `_predicted` the
        paper's; `remainder` is |E[g] - (a AvgGrad - b alpha AvgGradInner)| / |AvgGrad| with the
        paper's (a, b).
        """
        module: nn.Module = self.model
        network = Network(module.double())
        loss = TaskLoss(network, self.source.kind.criterion, self.loss_reduction)
        phi, tasks = network.initial(), self.draw_tasks()
        pairs = [average_gradients(loss, phi, x, y) for x, y in tasks]
        avg_grad, inner = (torch.stack(each).mean(0) for each in zip(*pairs, strict=True))
        rows = []
        for algorithm in ALGORITHMS:
            for k in self.steps:
                a, b = predicted(algorithm, k)
                for alpha in self.alphas:
                    directions = [
                        expected_direction(algorithm, loss, phi, x, y, k, alpha) for x, y in tasks
                    ]
                    direction = torch.stack(directions).mean(0)
                    remainder = direction - (a * avg_grad - b * alpha * inner)
                    fitted = fit(direction, avg_grad, inner, alpha)
                    size = (remainder.norm() / avg_grad.norm()).item()
                    rows.append((algorithm, k, alpha, *fitted, a, b, size))
        return pd.DataFrame(
            rows,
            columns=[
                "algorithm", "k", "alpha", "avg_grad", "avg_grad_inner",
                "avg_grad_predicted", "avg_grad_inner_predicted", "remainder",
            ],
        )  # fmt: skip

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return predicted and measured coefficients at the smallest alpha, a row an algorithm and k.

        `order` is the power of alpha with which the remainder falls, between the two smallest.
        """
        rows = []
        for (algorithm, k), rows_of_k in table.groupby(["algorithm", "k"], sort=False):
            first, second = rows_of_k.nsmallest(2, "alpha").to_dict("records")
            growth = math.log(second["remainder"] / first["remainder"])
            error = first["avg_grad_inner"] / first["avg_grad_inner_predicted"] - 1
            rows.append({
                "algorithm": algorithm,
                "k": k,
                "AvgGrad, predicted": f"{first['avg_grad_predicted']:g}",
                "measured": f"{first['avg_grad']:.6f}",
                "-alpha AvgGradInner, predicted": f"{first['avg_grad_inner_predicted']:g}",
                "measured ": f"{first['avg_grad_inner']:.4f}",
                "error": f"{100 * error:+.3f}%",
                "order": f"{growth / math.log(second['alpha'] / first['alpha']):.3f}",
            })  # fmt: skip
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.expansion import draw_expansion  # matplotlib is slow to load

        return draw_expansion(table)
