"""The outer loop, as a LightningModule around an algorithm and what it learns."""

import gc
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torchmetrics import CatMetric

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.evaluation import evaluate_tasks
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.inner_loop import trajectory
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.network import Network
from firstorder.task.base import Example, Scores, TaskKind
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss

DIVERGED = "diverged"


class NotFiniteError(ValueError):
    """Training diverged; the weights are still those before the bad iteration."""


class MetaLearner(LightningModule):
    """Own the meta-parameters and the inner optimiser's state, and step them along directions.

    Args:
        algorithm: adapts to tasks and gives the direction of a meta-batch.
        module: the network; its own parameters are the first phi.
        kind: what kind of tasks it learns from.
        outer_steps: N, over which the outer step size falls.
        eval_inner_lr: alpha at evaluation, the algorithm's where None.
        parallel_evaluation: evaluate a batch of tasks at once; the same scores, at another speed.
        log_every: outer iterations between two lines of metrics.
        config: plain settings that rebuild the run, kept in the checkpoint.
    """

    def __init__(
        self,
        algorithm: MetaAlgorithm,
        module: nn.Module,
        kind: TaskKind,
        *,
        outer_steps: int,
        eval_inner_lr: float | None = None,
        parallel_evaluation: bool = False,
        log_every: int = 50,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.algorithm, self.kind = algorithm, kind
        self.evaluated = (
            algorithm if eval_inner_lr is None else algorithm.with_inner_lr(eval_inner_lr)
        )
        self.outer_steps, self.log_every = outer_steps, log_every
        self.parallel_evaluation = parallel_evaluation
        self.config = dict(config or {})
        self.network = Network(module)
        self.loss = TaskLoss(self.network, kind.criterion, algorithm.loss_reduction)
        self.meta_parameters = nn.ParameterDict(algorithm.meta_parameters(self.network))
        loop = algorithm.inner(self.loss, self.meta, self.context())
        state = loop.optimizer.init(loop.phi)
        self._state_type, self._state_size = type(state), len(state)
        for index, tensor in enumerate(state):
            self.register_buffer(f"inner_state_{index}", tensor)
        self._losses: list[Tensor] = []
        # torchmetrics gathers what other ranks scored; one metric a protocol, and one for divergence.
        self._scores = {name: CatMetric() for name in (*kind.protocols, DIVERGED)}
        self.metrics = nn.ModuleDict(self._scores)
        self.scores: Scores = {}
        self.diverged = 0

    @property
    def phi(self) -> nn.Parameter:
        """The initialisation, (d,)."""
        phi: nn.Parameter = self.meta_parameters["phi"]
        return phi

    @property
    def meta(self) -> Meta:
        """What the outer loop learns, detached."""
        return {name: tensor.detach() for name, tensor in self.meta_parameters.items()}

    @property
    def inner_state(self) -> State:
        """The inner optimiser's state, which flows on from task to task in training."""
        names = (f"inner_state_{index}" for index in range(self._state_size))
        return self._state_type(*(getattr(self, name) for name in names))

    def context(self, iteration: int = 0) -> Context:
        """Return what a direction may depend on besides the task."""
        network = self.network
        return Context(network.layout, network.is_random, iteration, self.outer_steps)

    def setup(self, stage: str = "") -> None:
        """Make sure that the network takes what the data give.

        Raises:
            ValueError: it does not.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, EpisodeDataModule):
            return
        self.network.module.to(self.device, self.phi.dtype)  # what isn't learnt goes along
        inputs = data.test_sampler()[0].to_float(self.phi.dtype).support_x
        try:
            with torch.no_grad():
                self.network(self.phi, inputs.to(self.device))
        except RuntimeError as error:
            raise ValueError(
                f"{type(self.network.module).__name__} does not take inputs of shape"
                f" {tuple(inputs.shape[1:])}, those of {data.source.name}: see the settings of model.*"
                f" ({error})"
            ) from error

    def configure_optimizers(self) -> torch.optim.Optimizer:
        outer = getattr(torch.optim, self.algorithm.outer_optimizer)
        built: torch.optim.Optimizer = outer(
            list(self.meta_parameters.values()),
            lr=self.algorithm.outer_lr,
            **self.algorithm.outer_options,
        )
        return built

    def on_train_start(self) -> None:
        gc.unfreeze()  # what an earlier run of this process left
        gc.collect()
        gc.freeze()  # what was made until now lives on: looking through it costs a tenth of a second

    def training_step(self, tasks: Episode, index: int) -> None:
        context = self.context(self.global_step)
        found = self.algorithm.meta_batch(
            self.loss, self.meta, self.inner_state, tasks.to_float(self.phi.dtype), context
        )
        direction, state = self._average_over_ranks(found.direction, found.state)
        if not are_finite(direction.values()):
            raise self._diverged_at(found)
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for group in optimizer.param_groups:
            group["lr"] = self.algorithm.outer_lr_at(context)
        before = {name: tensor.clone() for name, tensor in self.meta.items()}
        for name, parameter in self.meta_parameters.items():
            parameter.grad = direction[name]
        optimizer.step()
        if not are_finite(self.meta.values()):  # the step was too long for a float
            for name, tensor in self.meta.items():
                tensor.copy_(before[name])
            raise self._diverged_at(found)
        for index, tensor in enumerate(state):
            setattr(self, f"inner_state_{index}", tensor)
        self._log_losses(found.first_loss, found.last_loss)

    def _diverged_at(self, found: MetaGradient) -> NotFiniteError:
        return NotFiniteError(
            f"the update of outer iteration {self.global_step} is not finite (inner loss"
            f" {found.first_loss.item():.3g} an example at the first step, {found.last_loss.item():.3g}"
            " at the last): lower algo.inner_lr or algo.outer_lr; the weights before it are kept"
        )

    def _average_over_ranks(self, direction: Meta, state: State) -> tuple[Meta, State]:
        """Average over the ranks' equal shares of the meta-batch, in one message."""
        if self.trainer.world_size == 1:
            return direction, state
        tensors = [*direction.values(), *state]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        flat = self.trainer.strategy.reduce(flat, reduce_op="mean")
        pieces = flat.split([tensor.numel() for tensor in tensors])
        means = [p.view(t.shape) for p, t in zip(pieces, tensors, strict=True)]
        averaged = dict(zip(direction, means, strict=False))
        return averaged, self._state_type(*means[len(direction) :])

    def _log_losses(self, first: Tensor, last: Tensor) -> None:
        """Log means over the last iterations, now and then: one call costs Lightning a millisecond."""
        self._losses.append(torch.stack([first, last]))
        if self.global_step % self.log_every == 0 or self.global_step == self.outer_steps:
            before, after = torch.stack(self._losses).mean(0).tolist()
            self._losses.clear()
            losses = {"train/loss_before": before, "train/loss_after": after}
            self.log_dict(losses, prog_bar=True, logger=False)
            done = self.global_step - 1  # iterations are counted from 0
            for logger in self.loggers:
                logger.log_metrics(
                    {**losses, "train/outer_lr": self.algorithm.outer_lr_at(self.context(done))},
                    step=done,
                )

    def adapt(self, task: Episode) -> Tensor:
        """Return the weights, (d,), that evaluation's inner loop reaches on one task of floats."""
        batches = task.support_batches()
        adapted, _ = self.evaluated.adapt(
            self.loss, self.meta, self.inner_state, batches, self.context()
        )
        return adapted

    def example(self, task: Episode) -> Example:
        """Adapt to a task step by step, from what was learnt and from a random initialisation."""
        task = task.to_float(self.phi.dtype)
        untrained = self.evaluated.meta_parameters(self.network)
        starts = {
            f"after {self.algorithm.name}": (self.meta, self.inner_state),
            "random initialisation": (untrained, None),
        }
        weights = {}
        for name, (meta, state) in starts.items():
            loop = self.evaluated.inner(self.loss, meta, self.context())
            state = loop.optimizer.init(loop.phi) if state is None else state
            steps = trajectory(*loop, state, task.support_batches())
            weights[name] = [loop.phi, *(step.phi for step in steps)]
        return Example(task, self.network, weights)

    def evaluate(self, tasks: Episode) -> Scores:
        """Score each task of a batch, every one from the same meta-parameters and inner state.

        Returns:
            the scores of each protocol, and "diverged", 1 for a task whose inner loop diverged; (tasks,).
        """
        tasks = tasks.to_float(self.phi.dtype)
        # A random network's tasks draw from their own seeds, so they are taken one by one.
        at_once = self.parallel_evaluation and not self.network.is_random
        parts = zip(*(f.split(len(f) if at_once else 1) for f in tasks), strict=True)
        evaluated = [
            evaluate_tasks(
                self.evaluated, self.kind, self.loss, self.meta, self.inner_state, Episode(*part),
                self.context(),
            )
            for part in parts
        ]  # fmt: skip
        each = [{**scores, DIVERGED: diverged.float()} for scores, diverged in evaluated]
        return {name: torch.cat([one[name] for one in each]) for name in each[0]}

    def validation_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks)

    def on_validation_epoch_end(self) -> None:
        self._finish_scores()
        data = getattr(self.trainer, "datamodule", None)
        prefix = data.monitor_prefix if isinstance(data, EpisodeDataModule) else "val"
        for name, values in self.scores.items():
            self.log(f"{prefix}/{name}", values.mean(), prog_bar=True)

    def test_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks)

    def on_test_epoch_end(self) -> None:
        self._finish_scores()
        self.log_dict({f"test/{name}": values.mean() for name, values in self.scores.items()})

    def _collect(self, tasks: Episode) -> None:
        for name, values in self.evaluate(tasks).items():
            self._scores[name].update(values)

    def _finish_scores(self) -> None:
        """Keep the scores of all ranks' tasks since the last call, (tasks,) each."""
        scores = {name: metric.compute().flatten() for name, metric in self._scores.items()}
        for metric in self._scores.values():
            metric.reset()
        self.diverged = int(scores.pop(DIVERGED).sum())
        self.scores = scores

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["constants"] = self.network.constants()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.network.set_constants(checkpoint.get("constants", {}))


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether no tensor holds NaN or infinity, in one pass over each."""
    return all(math.isfinite(tensor.sum()) for tensor in tensors)
