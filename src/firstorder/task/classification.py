"""Few-shot classification: N ways, K shots, with the paper's two protocols (Section 6.1)."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from firstorder.network import Network, predict
from firstorder.task.base import Example, Scores, TaskKind, where_finite
from firstorder.task.episode import Episode
from firstorder.task.loss import Criterion

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def cross_entropy(prediction: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross entropy of each example, (n,), from logits, (n, ways), in nats."""
    return F.cross_entropy(prediction, target, reduction="none", label_smoothing=label_smoothing)


def predict_transductively(network: Network, phi: Tensor, tasks: Episode) -> Tensor:
    """Return the outputs for the query sets, (tasks, m, ...): its images share batch statistics."""
    return predict(network, phi, tasks.query_x)


def predict_one_by_one(network: Network, phi: Tensor, tasks: Episode) -> Tensor:
    """Return the outputs for the query sets, (tasks, m, ...), each image in a pass of its own.

    A pass holds all support images and the one query image (Section 6.1), so that no query image
    sees another through batch norm.
    """
    passes = (torch.cat([tasks.support_x, one], 1) for one in tasks.query_x.split(1, dim=1))
    return torch.stack([predict(network, phi, x)[:, -1] for x in passes], 1)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the fraction of right answers of each task, (tasks,); NaN where a logit isn't finite."""
    return where_finite(logits, lambda: (logits.argmax(-1) == labels).float().mean(1))


PREDICTORS = {"transductive": predict_transductively, "non_transductive": predict_one_by_one}


def are_images(task: Episode) -> bool:
    """Tell whether a task's inputs can be shown: grey or in colour, (n, C, H, W)."""
    return task.support_x.dim() == 4 and task.support_x.shape[1] in (1, 3)


class Classification(TaskKind):
    """Tell N classes apart after seeing K images of each; scored by accuracy, a fraction."""

    criterion = staticmethod(cross_entropy)
    protocols = tuple(PREDICTORS)
    measure = "accuracy"
    higher_is_better = True
    fewest_ways = 2
    has_classes = True

    def smoothed(self, share: float) -> Criterion:
        return partial(cross_entropy, label_smoothing=share) if share else cross_entropy

    def score(self, network: Network, phi: Tensor, tasks: Episode) -> Scores:
        """Return the accuracies "transductive" and "non_transductive", (tasks,) each."""
        return {
            name: accuracy(predictor(network, phi, tasks), tasks.query_y)
            for name, predictor in PREDICTORS.items()
        }

    def must_permute(self) -> None:
        """Do nothing: each task numbers its classes in the order of their draw."""

    def score_together(self, network: Network, weights: Sequence[Tensor], tasks: Episode) -> Scores:
        """Return the accuracies of the classes of the highest mean probability."""
        return {
            name: accuracy(
                torch.stack([predictor(network, phi, tasks).softmax(-1) for phi in weights]).mean(
                    0
                ),
                tasks.query_y,
            )
            for name, predictor in PREDICTORS.items()
        }

    def answer(
        self, network: Network, phi: Tensor, tasks: Episode, *, together: bool = True
    ) -> Tensor:
        """Return the probability of each class, (tasks, m, ways)."""
        predictor = predict_transductively if together else predict_one_by_one
        return predictor(network, phi, tasks).softmax(-1)

    def score_if_diverged(self, tasks: Episode) -> float:
        """Return chance, 1 / N."""
        return 1 / (int(tasks.support_y.max()) + 1)

    def rows(self, summary: dict[str, Any]) -> list[tuple[str, str, int]]:
        return [
            (
                protocol.replace("_", "-"),
                f"{100 * numbers['accuracy']:.2f} ± {100 * numbers['ci95']:.2f} %",
                numbers["tasks"],
            )
            for protocol, numbers in summary.items()
        ]

    def shown(self, score: float) -> str:
        return f"{100 * score:.1f} %"

    def draw(self, example: Example) -> "Figure":
        """Draw a class a row: its support images, then its query images with the predicted classes.

        Where inputs are no images, draw how often each class was taken for each.
        """
        from firstorder.figures import example as figures  # matplotlib takes a second to load

        task = example.task
        logits = {
            name: example.network.predict(points[-1], task.query_x)
            for name, points in example.weights.items()
        }
        adapted = next(iter(logits.values()))
        if are_images(task):
            return figures.draw_images(task, adapted)
        taken = {name: each.argmax(-1) for name, each in logits.items()}
        return figures.draw_confusion(task.query_y, taken, adapted.shape[-1])

    def draw_episodes(self, episodes: Sequence[Episode]) -> "Figure":
        """Draw episodes in one column, a class a row: its support images, then its query images."""
        from firstorder.figures.contact_sheet import draw_episodes

        if not are_images(episodes[0]):
            return super().draw_episodes(episodes)
        return draw_episodes(episodes)
