"""An adaptation to one task, prepared but not yet run: in one go, or to chosen numbers of steps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from firstorder.algo.evaluation import Evaluator
from firstorder.library.adapted import Adapted
from firstorder.library.head import Start
from firstorder.library.inputs import InputForm
from firstorder.task.episode import Episode


@dataclass(frozen=True)
class Adaptation:
    """Adapt a learner to one task; made by `Learner.begin`.

    Attributes:
        evaluator: the algorithm, as evaluation runs it.
        start: where the inner loop starts.
        task: the examples, in floating point, and their mini-batches.
        form: what the network takes.
        classes: the labels of the task, sorted; None where it is no classification.
    """

    evaluator: Evaluator
    start: Start
    task: Episode
    form: InputForm
    classes: Sequence[Any] | None

    def end(self) -> Adapted:
        """Return what all steps lead to.

        Raises:
            ValueError: the network does not take such examples.
        """
        try:
            phi = self.evaluator.adapt(self.start.meta, self.start.state, self.task)
        except RuntimeError as error:
            raise ValueError(
                "the network does not take inputs of shape"
                f" {tuple(self.task.support_x.shape[1:])} with such targets ({error})"
            ) from error
        return self._adapted(phi)

    def after(self, steps: Iterable[int]) -> dict[int, Adapted]:
        """Return what is reached after some numbers of gradient steps, 0 for before the first."""
        start = {"": (self.start.meta, self.start.state)}
        points = self.evaluator.example(self.task, start).weights[""]
        return {count: self._adapted(points[count]) for count in steps}

    def _adapted(self, phi: Tensor) -> Adapted:
        network, kind = self.start.network, self.evaluator.kind
        return Adapted(network, phi, kind, self.task, self.form, self.classes)
