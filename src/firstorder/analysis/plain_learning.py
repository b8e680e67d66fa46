"""Amplify SGD's own bias in plain learning (Section 7 and Future Work).

Over consecutive mini-batches of one data set, SGD's k steps move by the sum of their gradients, and that
sum holds k (k - 1) / 2 times the AvgGradInner term of Eq. 29: to first order, SGD already makes gradients
of different mini-batches point the same way. Here later gradients count more,

    phi <- phi - alpha sum_i w_i g_i,   w_i = 1 + beta (2 i - k - 1) / (k - 1),

which leaves the mean gradient's weight at k and raises AvgGradInner's to
k (k - 1) / 2 + beta k (k + 1) / 6; beta = 0 is SGD. Reptile's outer step with epsilon below 1,
phi <- phi + epsilon (phi_k - phi), stands beside it (with plain mini-batches it is Lookahead, Zhang et
al. 2019).
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
import torch
from annotated_types import Ge, Gt, Le, Len
from torch import Tensor

from firstorder.analysis.base import Analysis
from firstorder.data.images.source import ImageSource
from firstorder.engine import set_engines
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import Batch, trajectory
from firstorder.inner_optimizer import SGD
from firstorder.network import Network
from firstorder.settings import Count, NonNegative, Seed, StepSize, check_fields
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import TaskLoss

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Fraction = Annotated[float, Gt(0), Le(1)]
HELD_OUT = 6  # one of so many images of each class is for the test, as in CIFAR-100
AT_ONCE = 200  # test images that share batch statistics


@dataclass(frozen=True, kw_only=True)
class PlainLearning(Analysis):
    """Train one classifier of all classes with amplified steps, and test it on images held out.

    Attributes:
        source: a data set of images.
        model: the network, with an output for every class.
        betas: how much later gradients count more.
        epsilons: outer steps below 1 to compare with, for beta = 0.
        step_sizes: alpha; each method is trained with each.
        inner_steps: k.
        batch_size: images of a mini-batch; its loss is a mean.
        epochs: passes over the training images.
        seeds: of the order of the images, and of the initial weights, which each layer draws by its own
            `reset_parameters` or `initialise`.
    """

    source: Any
    model: Any
    betas: Annotated[Sequence[NonNegative], Len(1)] = (0.0, 1.0, 3.0)
    epsilons: Sequence[Fraction] = (0.5,)
    step_sizes: Annotated[Sequence[StepSize], Len(1)] = (0.05, 0.1, 0.2)
    inner_steps: Annotated[int, Ge(2), Le(10**6)] = 4
    batch_size: Count = 64
    epochs: Count = 5
    seeds: Annotated[Sequence[Seed], Len(1)] = (0, 1, 2)

    def __post_init__(self) -> None:
        check_fields(self, "analysis")
        if not isinstance(self.source, ImageSource):
            raise ValueError(
                f"data={self.source.name} is no data set of images in classes, which"
                " analysis=plain_learning takes: choose one, such as data=cifarfs"
            )

    def measure(self) -> pd.DataFrame:
        """Return a row for each training: its method, accuracy and loss on training and test images."""
        self.source.prepare()
        classes = len(set(self.source.class_numbers))
        if getattr(self.model, "num_classes", classes) != classes:
            raise ValueError(
                f"{self.source.name} has {classes} classes: set data.ways={classes}, so that the network"
                " has an output for each"
            )
        seen, taken = int((~self.is_held_out).sum()), self.inner_steps * self.batch_size
        if taken > seen:
            raise ValueError(
                f"analysis.inner_steps={self.inner_steps} mini-batches of"
                f" analysis.batch_size={self.batch_size} are {taken} images, and {self.source.name} has"
                f" {seen} to train on: lower analysis.batch_size"
            )
        methods = [("beta", b) for b in self.betas] + [("epsilon", e) for e in self.epsilons]
        rows = []
        for seed in self.seeds:
            for alpha in self.step_sizes:
                for name, value in methods:
                    found = self.train(name, value, alpha, seed)
                    rows.append(
                        {"method": f"{name} = {value:g}", "alpha": alpha, "seed": seed, **found}
                    )
        return pd.DataFrame(rows)

    def train(self, name: str, value: float, alpha: float, seed: int) -> dict[str, float]:
        """Train once; return what came of it."""
        torch.manual_seed(seed)
        module = copy.deepcopy(self.model)
        for layer in module.modules():  # from a first draw of its own
            for draw in ("reset_parameters", "initialise"):
                getattr(layer, draw, lambda: None)()
        network = Network(module)
        phi = network.initial()
        beta, scale = (value, 1.0) if name == "beta" else (0.0, value)
        set_engines(NativeSteps())
        for batches in self.rounds(seed):
            phi = self.round(network, phi, batches, beta, scale, alpha)
        (x, y), (seen_x, seen_y) = self.test, self.train_sample(seed)
        test, train = self.score(network, phi, x, y), self.score(network, phi, seen_x, seen_y)
        set_engines()
        return {
            "test accuracy": test[0], "test loss": test[1],
            "training accuracy": train[0], "training loss": train[1],
        }  # fmt: skip

    def round(
        self, network: Network, phi: Tensor, batches: Sequence[Batch], beta: float, scale: float,
        alpha: float,
    ) -> Tensor:  # fmt: skip
        """Return the weights after k steps of SGD, their gradients weighted by beta, times epsilon."""
        loss, k = TaskLoss(network, cross_entropy, "mean"), self.inner_steps
        point, direction = phi, torch.zeros_like(phi)
        for i, step in enumerate(trajectory(loss, SGD(lr=alpha), phi, (), batches), start=1):
            weight = 1 + beta * (2 * i - k - 1) / (k - 1)
            direction = direction + weight * (point - step.phi)
            point = step.phi
        return phi - scale * direction

    @property
    def is_held_out(self) -> np.ndarray:
        """Which images are for the test: the first of every `HELD_OUT`, in their order."""
        return np.arange(len(self.source.class_numbers)) % HELD_OUT == 0

    @property
    def test(self) -> Batch:
        """The images held out, and their classes."""
        return self.batch(np.flatnonzero(self.is_held_out))

    def train_sample(self, seed: int) -> Batch:
        """Return as many training images as there are for the test."""
        seen = np.flatnonzero(~self.is_held_out)
        size = min(len(seen), int(self.is_held_out.sum()))
        return self.batch(np.random.default_rng(seed).choice(seen, size, replace=False))

    def rounds(self, seed: int) -> Iterator[list[Batch]]:
        """Yield k mini-batches after another, of an order that is new in every epoch."""
        rng, seen = np.random.default_rng(seed), np.flatnonzero(~self.is_held_out)
        size = self.inner_steps * self.batch_size
        for _ in range(self.epochs):
            order = rng.permutation(seen)
            for start in range(0, len(order) - size + 1, size):
                places = order[start : start + size].reshape(self.inner_steps, self.batch_size)
                yield [self.batch(each) for each in places]

    def batch(self, places: np.ndarray) -> Batch:
        """Return images in floating point and their classes."""
        images = torch.from_numpy(self.source.pixels[places]).float() / 255
        return images, torch.from_numpy(self.source.class_numbers[places])

    @torch.no_grad()
    def score(self, network: Network, phi: Tensor, x: Tensor, y: Tensor) -> tuple[float, float]:
        """Return accuracy and mean loss; images share statistics with `AT_ONCE` drawn at random."""
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
        logits = torch.cat([network.predict(phi, x[part]) for part in order.split(AT_ONCE)])
        y = y[order]
        right = (logits.argmax(-1) == y).double().mean().item()
        return right, cross_entropy(logits, y).double().mean().item()

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the means and deviations over seeds of each method at each step size."""
        means = table.groupby(["method", "alpha"], sort=False)[
            ["training loss", "test loss", "training accuracy", "test accuracy"]
        ].agg(["mean", "std"])
        rows = []
        for (method, alpha), row in means.iterrows():
            texts = {
                name: f"{100 * row[name, 'mean']:.1f} +- {100 * row[name, 'std']:.1f}"
                if "accuracy" in name
                else f"{row[name, 'mean']:.3f} +- {row[name, 'std']:.3f}"
                for name in means.columns.levels[0]
            }
            rows.append({"method": method, "alpha": alpha, **texts})
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.plain_learning import draw_plain_learning  # slow to load

        return draw_plain_learning(table)
