"""The interface of a kind of task: its loss, predictions, scores, summaries and pictures."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from firstorder.network import Network, predict
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = dict[str, Tensor]  # protocol -> a score of each task, (tasks,)


@dataclass(frozen=True)
class Example:
    """One task that was adapted to, for a picture.

    Attributes:
        task: the task, in floating point on the CPU.
        network: the network.
        weights: by name of the initialisation ("after reptile", "random initialisation"), the weights
            phi_1, ..., phi_{k+1} after each inner step, (d,) each.
    """

    task: Episode
    network: Network
    weights: Mapping[str, Sequence[Tensor]]


class TaskKind(ABC):
    """A kind of task: its loss, how query sets are predicted and scored, and how it is pictured.

    A source of tasks names its kind (`TaskSource.kind`). A new kind is one subclass.

    Attributes:
        protocols: names of the ways to predict a query set; each has scores of its own.
        measure: what a score is, as results name it.
        higher_is_better: whether a larger score is a better one.
        fewest_ways: the least data.ways that makes sense.
        has_classes: whether targets are numbers of classes.
        without_score: what the closing table calls a task that is scored NaN.
    """

    protocols: tuple[str, ...]
    measure: str
    higher_is_better: bool
    fewest_ways: ClassVar[int] = 1
    has_classes: bool = False
    without_score: ClassVar[str] = "diverged"

    @staticmethod
    @abstractmethod
    def criterion(prediction: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each example, (n,), that the inner loop descends."""

    def check_network(  # noqa: B027 (most kinds take any network)
        self, module: nn.Module, input_shape: tuple[int, ...]
    ) -> None:
        """Make sure that a network is of the form that such tasks want.

        Raises:
            ValueError: it is not.
        """

    def check_task(  # noqa: B027 (most kinds have a loss and a score of their own)
        self, network: Network, phi: Tensor, task: Episode
    ) -> None:
        """Make sure that loss and score take tasks like this one, before anything is learnt from them.

        Raises:
            ValueError: they do not.
        """

    def smoothed(self, share: float) -> Callable[[Tensor, Tensor], Tensor]:
        """Return the loss with a share of each label spread over all classes.

        Raises:
            ValueError: targets are no classes, and the share is not 0.
        """
        if share:
            raise ValueError(
                f"algo.label_smoothing={share} is for classes, and the targets of this data are none:"
                " leave it at 0"
            )
        return self.criterion

    @abstractmethod
    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Score query sets under every protocol with the weights (tasks, d) adapted to each task.

        A task whose predictions are not finite is scored NaN: it diverged.
        """

    def score_together(self, network: Network, weights: Sequence[Tensor], tasks: Episode) -> Scores:
        """Score the mean prediction of several weights, (tasks, d) each, as `score` does for one."""
        raise NotImplementedError

    def must_permute(self) -> None:
        """Make sure that a task's classes are numbered anew, so that `score_together` has a meaning.

        Raises:
            ValueError: they are not, or there are none.
        """
        raise ValueError(
            "eval.permutations averages over the numbers that each task gives its classes, which tasks of"
            f" {type(self).__name__} do not: leave it at 1"
        )

    def answer(
        self, network: Network, phi: Tensor, tasks: Episode, *, together: bool = True
    ) -> Tensor:
        """Return what a user is told of the query sets, (tasks, m, outputs): the outputs themselves.

        Args:
            network, phi, tasks: as in `score`.
            together: whether query inputs may share batch statistics.
        """
        return predict(network, phi, tasks.query_x)

    @abstractmethod
    def score_if_diverged(self, tasks: Episode) -> float:
        """Return the score that a task counts with where the inner loop diverged on it."""

    def summarise(self, scores: Scores) -> dict[str, Any]:
        """Return the mean and interval of each protocol's scores, as results.json holds them."""
        return {name: interval(self.measure, values) for name, values in scores.items()}

    @abstractmethod
    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        """Return the closing table's rows (protocol, mean and interval, tasks) of such a summary."""

    def shown(self, score: float) -> str:
        """Write a score for a table."""
        return f"{score:.4f}"

    def objective(self, scores: Scores) -> float:
        """Return one number for a sweep to maximise: the first protocol's mean, negated if an error."""
        mean = scores[self.protocols[0]].mean().item()
        return mean if self.higher_is_better else -mean

    @abstractmethod
    def draw(self, example: Example) -> "Figure":
        """Draw a task with what the learner predicts."""

    def draw_episodes(self, episodes: Sequence[Episode]) -> "Figure":
        """Draw episodes as they come from the data.

        Raises:
            ValueError: this kind has no such picture.
        """
        raise ValueError("episodes of this data have no picture: choose another data=...")


def interval(measure: str, values: Tensor) -> dict[str, Any]:
    """Return the mean over tasks and its 95% interval, 1.96 standard errors.

    The interval is 0 for a single task, and infinite where the mean is.
    """
    values = values.double().cpu().flatten()
    mean = values.mean().item()
    deviation = values.std().item() if len(values) > 1 else 0.0
    return {
        measure: mean,
        "ci95": 1.96 * deviation / len(values) ** 0.5 if isfinite(mean) else mean,
        "tasks": len(values),
    }


def where_finite(prediction: Tensor, score: Callable[[], Tensor]) -> Tensor:
    """Return each task's score, (tasks,), or NaN where its predictions, (tasks, ...), aren't finite."""
    finite = prediction.flatten(1).isfinite().all(1)
    return torch.where(finite, score(), torch.nan)
