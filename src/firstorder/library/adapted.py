"""A learner that has been adapted to one task."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstorder.library.inputs import InputForm
from firstorder.network import Network
from firstorder.task.base import TaskKind
from firstorder.task.episode import Episode


class Adapted:
    """Predict new inputs of the task that a learner was adapted to; made by `Learner.adapt`.

    Attributes:
        classes: the labels of the task, sorted; None where it is no classification.
        phi: the adapted weights, (d,).
    """

    def __init__(
        self,
        network: Network,
        phi: Tensor,
        kind: TaskKind,
        task: Episode,
        form: InputForm,
        classes: Sequence[Any] | None,
    ) -> None:
        self.network, self.phi, self.kind, self.classes = network, phi, kind, classes
        self._task, self._form = task, form

    def predict(self, inputs: Any, *, together: bool = False) -> Any:
        """Return what is predicted for each input.

        Args:
            inputs: as `Learner.adapt` takes them.
            together: let the inputs share batch-norm statistics (the paper's transductive protocol),
                which is often more accurate and makes an answer depend on what else is asked; else each
                is answered by itself.

        Returns:
            a list of labels; for a regression the numbers, (n, outputs).

        Raises:
            ValueError: the inputs do not fit, or adapting has diverged.
        """
        outputs = self.probabilities(inputs, together=together)
        if self.classes is None:
            return outputs
        return [self.classes[i] for i in outputs.argmax(1)]

    def probabilities(self, inputs: Any, *, together: bool = False) -> np.ndarray:
        """Return the probability of each class, (n, classes), in the order of `classes`.

        See `predict`. For a regression it returns the numbers predicted.
        """
        x = self._form.read(inputs)
        if not len(x):
            raise ValueError("there are no inputs to predict: give one or more")
        asked = self._task._replace(query_x=x, query_y=torch.zeros(len(x)))
        tasks = Episode(*(field[None] for field in asked.to_float(self.phi.dtype)))
        with torch.no_grad():
            outputs = self.kind.answer(self.network, self.phi[None], tasks, together=together)[0]
        if not outputs.isfinite().all():
            raise ValueError(
                "the inner loop has diverged on these examples: lower its step size, lr"
            )
        scale = self._form.scales.get("y")
        return scale.unscaled(outputs.numpy()) if scale else outputs.numpy()
