"""A trained initialisation: load it, adapt it to a few examples, save it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from firstorder.algo.evaluation import Evaluator
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.minibatches import cycle_minibatches
from firstorder.data.scale import scales_in
from firstorder.library.adaptation import Adaptation
from firstorder.library.adapted import Adapted
from firstorder.library.arrays import check_finite
from firstorder.library.head import Start, with_ways
from firstorder.library.inputs import InputForm
from firstorder.run.building import construct
from firstorder.run.checkpoint import AtomicCheckpoints, read_checkpoint
from firstorder.run.learner import MetaLearner
from firstorder.settings import Count, Seed, StepSize, check
from firstorder.task.episode import Episode


class Learner:
    """What a training run has learnt; made by `load` and `train`.

    Attributes:
        trained: the learner itself, a LightningModule.
        form: what its network takes.
        data_state: what checkpoints remember of the data, see `EpisodeDataModule.state_dict`.
    """

    def __init__(self, trained: MetaLearner, form: InputForm, data_state: dict[str, Any]) -> None:
        self.trained, self.form, self.data_state = trained, form, data_state

    @property
    def ways(self) -> int:
        """The classes of a task in training."""
        return int(self.trained.config["data"]["ways"])

    def must_take_images(self, path: str | Path) -> None:
        """Make sure that image files can be given, and labels.

        Raises:
            ValueError: the tasks of training were others; the sentence names the checkpoint.
        """
        if not self.trained.kind.has_classes or self.form.target is None:
            name = self.trained.config["data"]["source"]["_target_"].rpartition(".")[2]
            raise ValueError(
                f"ckpt_path={path} was trained on {name}, whose tasks are not to tell classes of images"
                " apart: name the checkpoint of a run that was"
            )

    def adapt(
        self,
        x: Any,
        y: Any,
        *,
        steps: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
    ) -> Adapted:
        """Fine-tune on the examples of one task; the learner itself stays as it is.

        Args:
            x: the inputs: an array or tensor (n, ...) as in training; for images also bytes
                (n, H, W) or (n, H, W, 3), or a list of files' paths or Pillow images, of any size.
            y: a label of any kind for each; for a regression the numbers, (n, outputs). Another number
                of classes than in training gets a head of its own, see `firstorder.library.head`.
            steps, batch_size, lr: of the inner loop; as in the evaluation of the run where None.
            seed: of the order of the examples.

        Raises:
            ValueError: the examples do not fit the network, or each other.
        """
        adaptation = self.begin(x, y, steps=steps, batch_size=batch_size, lr=lr, seed=seed)
        return adaptation.end()

    def begin(
        self,
        x: Any,
        y: Any,
        *,
        steps: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        seed: int = 0,
    ) -> Adaptation:
        """Prepare what `adapt` does, to look at its single steps.

        See `adapt` for arguments and errors.
        """
        learnt, settings = self.trained, self.trained.evaluation
        steps = settings.inner_steps if steps is None else steps
        batch_size = settings.inner_batch_size if batch_size is None else batch_size
        for key, value, declared in (
            ("steps", steps, Count), ("batch_size", batch_size, Count), ("lr", lr, StepSize | None),
            ("seed", seed, Seed),
        ):  # fmt: skip
            check(key, value.item() if isinstance(value, np.generic) else value, declared)
        inputs = self.form.read(x)
        targets, classes = self._targets(y)
        if len(inputs) != len(targets) or not len(inputs):
            raise ValueError(f"there are {len(inputs)} examples and {len(targets)} labels")
        batches = cycle_minibatches(len(inputs), batch_size, steps, np.random.default_rng(seed))
        none = torch.zeros(0)
        task = Episode(
            inputs, targets, none, none, torch.from_numpy(batches), torch.tensor(seed)
        ).to_float(learnt.phi.dtype)
        if classes is None:
            task = task._replace(support_y=self._as_outputs(task))
        start = Start(learnt.network, learnt.meta, learnt.inner_state)
        algorithm = learnt.evaluator.algorithm if lr is None else learnt.algorithm.with_inner_lr(lr)
        if classes is not None and len(classes) != self.ways:
            start = with_ways(start, self.ways, len(classes), algorithm.name)
        loss = replace(learnt.loss, network=start.network)
        evaluator = Evaluator(
            algorithm, learnt.kind, loss, shared_head=learnt.evaluation.shared_head
        )
        return Adaptation(evaluator, start, task, self.form, classes)

    def _as_outputs(self, task: Episode) -> Tensor:
        """Return the targets of a task in the shape of the network's outputs: (n,) is (n, 1).

        Raises:
            ValueError: they are of another shape.
        """
        learnt, targets = self.trained, task.support_y
        try:
            with torch.no_grad():
                shape = learnt.network(learnt.phi, task.support_x[:1]).shape[1:]
        except RuntimeError:
            return targets  # what is wrong with the inputs is told when they are adapted to
        if targets.dim() == 1 and shape.numel() == 1:
            return targets.view(-1, *shape)
        if targets.shape[1:] != shape:
            raise ValueError(
                f"a target has shape {tuple(targets.shape[1:])}, and the network's outputs have"
                f" {tuple(shape)}"
            )
        return targets

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, which `load` and the commands read."""
        checkpoint = {
            "state_dict": self.trained.state_dict(), "global_step": self.trained.outer_steps,
            "loops": {}, "callbacks": {}, "optimizer_states": [],  # of training, which is over
            EpisodeDataModule.__qualname__: self.data_state,
        }  # fmt: skip
        self.trained.on_save_checkpoint(checkpoint)
        AtomicCheckpoints().save_checkpoint(checkpoint, path)

    def _targets(self, y: Any) -> tuple[Tensor, list[Any] | None]:
        """Return targets as the loss takes them, and the classes that they are numbers of.

        Raises:
            ValueError: there are fewer classes than a task has at least, or labels that are none.
        """
        kind = self.trained.kind
        if not kind.has_classes:
            targets = self.form.scaled("y", np.array(y, np.float64))
            check_finite(targets, "targets hold")
            return torch.from_numpy(targets), None
        try:
            labels = y.tolist() if hasattr(y, "tolist") else list(y)
            classes = sorted(set(labels))
        except TypeError as error:
            raise ValueError(
                f"labels are wanted one an example, all of one type, such as text ({error})"
            ) from error
        if any(label != label for label in classes):
            raise ValueError("a label is NaN: leave such examples out")
        if len(classes) < kind.fewest_ways:
            raise ValueError(
                f"the examples are of {len(classes)} class, and a task has {kind.fewest_ways} or more"
            )
        return torch.tensor([classes.index(label) for label in labels]), classes


def load(path: str | Path, *, model: nn.Module | None = None) -> Learner:
    """Load what a run has learnt from its checkpoint.

    Args:
        path: of a checkpoint, such as `outputs/.../checkpoints/last.ckpt`.
        model: the network, for a checkpoint that does not tell how to build it: it was written by
            `train`, with a network that does not keep its arguments as attributes.

    Raises:
        ValueError: there is no checkpoint, it does not tell of its network, or it names classes that are
            neither of firstorder nor of a module named to `firstorder.trust`.
    """
    checkpoint = read_checkpoint(path)
    config = checkpoint["config"]
    if model is None and config["model"].get("_partial_"):
        raise ValueError(
            f"{path} does not tell how its network {config['model']['_target_']} is built: give it to"
            " load(..., model=...)"
        )
    trained = MetaLearner.load_from_checkpoint(path, **({} if model is None else {"module": model}))
    trained.eval()
    source = config["data"]["source"]
    built = None if source.get("_partial_") else construct("data.source", source)
    state = EpisodeDataModule.state_in(checkpoint)
    return Learner(trained, form_of(trained.network.module, built, state), state)


def form_of(module: nn.Module, source: Any, data_state: dict[str, Any]) -> InputForm:
    """Return what a network takes, as it says itself, or else as the source of its tasks does."""
    shape: Sequence[int] | None = getattr(module, "input_shape", None)
    shape = shape or getattr(source, "input_shape", None)
    target = getattr(source, "target", None)
    form = InputForm(tuple(shape) if shape else None, scales=scales_in(data_state))
    return form._replace(filter=target.filter) if target else form
