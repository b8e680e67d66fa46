"""Tasks whose loss and score are chosen by name from torch and torchmetrics."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import torch
import torchmetrics
from torch import Tensor, nn

from firstorder.network import Network, predict
from firstorder.settings import Options, one_of_names
from firstorder.task.base import Example, Scores, TaskKind
from firstorder.task.classification import Classification, cross_entropy
from firstorder.task.episode import Episode
from firstorder.task.loss import Criterion
from firstorder.task.regression import Regression, squared_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = sorted(name for name in dir(nn) if name.endswith("Loss"))
METRICS = sorted(
    name
    for name, found in vars(torchmetrics).items()
    if isinstance(found, type) and issubclass(found, torchmetrics.Metric)
)
LossName = Annotated[str, one_of_names(LOSSES)]
MetricName = Annotated[str, one_of_names(METRICS)]


class Named(TaskKind):
    """Learn what a loss of torch.nn says, and be scored by a metric of torchmetrics, a task at a time.

    Args:
        has_classes: targets are classes, (n,) int64, and not numbers, (n, outputs).
        loss: the class of the loss, such as "HuberLoss"; None for the usual one.
        loss_options: its arguments.
        metric: the class of the metric, such as "R2Score"; None for the usual one.
        metric_options: its arguments; for classes, where there are none, task="multiclass" and the number
            of classes.

    Raises:
        ValueError: the loss or the metric refuses its arguments, or those of a loss are given without it.
    """

    protocols = ("score",)
    measure = "score"
    higher_is_better = True
    without_score = "undefined"

    def __init__(
        self,
        has_classes: bool,
        *,
        loss: str | None = None,
        loss_options: Options | None = None,
        metric: str | None = None,
        metric_options: Options | None = None,
    ) -> None:
        if loss_options and loss is None:
            raise ValueError(
                f"data.source.loss_options={dict(loss_options)} are of no loss: add data.source.loss=...,"
                " or leave them out"
            )
        self.has_classes, self.loss = has_classes, loss
        usual = cross_entropy if has_classes else squared_error
        own = usual if loss is None else elementwise(loss, loss_options or {})
        self.criterion = own  # type: ignore[method-assign]
        self.name = metric or ("Accuracy" if has_classes else "MeanSquaredError")
        self.options = dict(metric_options or {})
        self.measure = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower()
        self.protocols = (self.measure,)
        made_metric = self.metric(2)
        self.higher_is_better = made_metric.higher_is_better is not False
        ends = made_metric.plot_lower_bound, made_metric.plot_upper_bound
        bound = ends[0] if self.higher_is_better else ends[1]
        infinite = float("-inf" if self.higher_is_better else "inf")
        self.worst = infinite if bound is None else float(bound)

    def metric(self, outputs: int) -> Any:
        """Return a new metric for a network of so many outputs."""
        options = self.options
        if self.has_classes and not options:
            options = {"task": "multiclass", "num_classes": outputs}
        return made(torchmetrics, "metric", self.name, options)

    @staticmethod
    def criterion(prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each example; an object has its own."""
        raise NotImplementedError

    def check_task(self, network: Network, phi: Tensor, task: Episode) -> None:
        """Make sure that the loss and the metric take a task's targets: their number, shape and type."""
        with torch.no_grad():
            prediction = network.predict(phi, task.query_x)
        with fitting("loss", self.loss), warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # how torch tells of shapes that differ
            self.criterion(prediction, task.query_y)
        self._one(self.metric(prediction.shape[-1]).to(prediction.device), prediction, task.query_y)

    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Return the metric over each task's query set, (tasks,).

        One that is undefined, such as the correlation of a constant prediction, is NaN as where the inner
        loop diverged: it is counted among these, with the worst score.
        """
        prediction = predict(network, phi, tasks.query_x)
        metric = self.metric(prediction.shape[-1]).to(prediction.device)
        pairs = zip(prediction, tasks.query_y, strict=True)
        return {self.measure: torch.stack([self._one(metric, *pair) for pair in pairs])}

    def _one(self, metric: Any, prediction: Tensor, target: Tensor) -> Tensor:
        """Return the metric of one task."""
        if prediction.shape[-1] == 1 and not self.has_classes:  # most metrics want numbers flat
            prediction, target = prediction[:, 0], target[:, 0]
        if not prediction.isfinite().all():  # which some metrics refuse
            return prediction.new_tensor(torch.nan)
        metric.reset()
        with fitting("metric", self.name):
            metric.update(prediction, target)
            value: Tensor = metric.compute()
        if value.numel() != 1:
            raise ValueError(
                f"data.source.metric={self.name} gives {value.numel()} numbers a task: ask for one, such"
                " as with data.source.metric_options={average: macro}"
            )
        return value.detach().flatten()[0].to(prediction.dtype)

    def answer(
        self, network: Network, phi: Tensor, tasks: Episode, *, together: bool = True
    ) -> Tensor:
        """Return the probability of each class, or the numbers predicted."""
        outputs = super().answer(network, phi, tasks)
        return outputs.softmax(-1) if self.has_classes else outputs

    def score_if_diverged(self, tasks: Episode) -> float:
        """Return the worst score that the metric has, an infinite one where it has no bound."""
        return self.worst

    def smoothed(self, share: float) -> Criterion:
        """Return the loss with a share of each label spread over all classes.

        Raises:
            ValueError: targets are no classes, or the loss is not the usual one.
        """
        if not share or not self.has_classes:
            return super().smoothed(share)
        if self.criterion is not cross_entropy:
            raise ValueError(
                f"algo.label_smoothing={share} is of the usual loss: leave data.source.loss out, or take"
                " data.source.loss=CrossEntropyLoss data.source.loss_options={label_smoothing: ...}"
            )
        return Classification().smoothed(share)

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        numbers = summary[self.measure]
        text = f"{numbers[self.measure]:.4f} ± {numbers['ci95']:.4f}"
        return [(self.measure.replace("_", " "), text, numbers["tasks"])]

    def draw(self, example: Example) -> "Figure":
        """Draw a regression's fits, or how often each class was taken for each."""
        if not self.has_classes:
            return Regression().draw(example)
        from firstorder.figures.example import draw_confusion  # matplotlib is slow to load

        task, network = example.task, example.network
        taken = {
            name: network.predict(points[-1], task.query_x).argmax(-1)
            for name, points in example.weights.items()
        }
        classes = network.predict(next(iter(example.weights.values()))[-1], task.query_x).shape[-1]
        return draw_confusion(task.query_y, taken, classes)


class elementwise:
    """The loss of each example, (n,), as a class of torch.nn computes it."""

    def __init__(self, name: str, options: Options) -> None:
        self.loss = made(nn, "loss", name, {**options, "reduction": "none"})

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        losses: Tensor = self.loss(prediction, target)
        return losses.flatten(1).mean(1) if losses.dim() > 1 else losses


@contextmanager
def fitting(what: str, name: str | None) -> Iterator[None]:
    """Say of what a class of a library does not take that the setting which names it is wrong.

    Raises:
        ValueError: it does not.
    """
    try:
        yield
    except Exception as error:  # whatever that class makes of it
        raise ValueError(
            f"data.source.{what}={name} does not go with the targets of the tasks: {error}"
        ) from error


def made(library: Any, what: str, name: str, options: Options) -> Any:
    """Return an object of the class that a setting names.

    Raises:
        ValueError: it refuses its arguments.
    """
    try:
        return getattr(library, name)(**options)
    except (TypeError, ValueError) as error:
        shown = {key: value for key, value in options.items() if key != "reduction"}
        raise ValueError(
            f"data.source.{what}_options={shown} does not go with data.source.{what}={name}: {error}"
        ) from None
