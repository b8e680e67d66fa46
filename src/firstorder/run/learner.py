"""The outer loop, as a LightningModule around an algorithm and the weights it learns."""

import gc
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torchmetrics import CatMetric

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import PROTOCOLS, evaluate_tasks
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.inner_loop import adapt
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import MetaGradient
from firstorder.network import Network
from firstorder.task.episode import Episode
from firstorder.task.loss import CRITERIA, TaskLoss


class NotFiniteError(ValueError):
    """Say that training diverged; the weights are still those before the bad iteration."""


class MetaLearner(LightningModule):
    """Own the initialisation phi and the inner optimiser's state, and step phi along directions.

    Args:
        algorithm: gives the direction of a meta-batch.
        module: the network; its own parameters are the first phi.
        kind: "classification" or "regression".
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
        kind: str,
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
        self.outer_steps, self.log_every = outer_steps, log_every
        self.eval_inner_lr, self.parallel_evaluation = eval_inner_lr, parallel_evaluation
        self.config = dict(config or {})
        self.network = Network(module)
        self.loss = TaskLoss(self.network, CRITERIA[kind], algorithm.loss_reduction)
        self.phi = nn.Parameter(self.network.initial())
        state = algorithm.optimizer.init(self.phi.detach())
        self._state_type, self._state_size = type(state), len(state)
        for index, tensor in enumerate(state):
            self.register_buffer(f"inner_state_{index}", tensor)
        self._losses: list[Tensor] = []
        # One metric a protocol: torchmetrics gathers what other ranks scored.
        self._scores = {name: CatMetric() for name in PROTOCOLS[kind]}
        self.metrics = nn.ModuleDict(self._scores)
        self.scores: dict[str, Tensor] = {}

    @property
    def inner_state(self) -> State:
        """The inner optimiser's state, which flows on from task to task in training."""
        names = (f"inner_state_{index}" for index in range(self._state_size))
        return self._state_type(*(getattr(self, name) for name in names))

    def setup(self, stage: str = "") -> None:
        """Make sure that the network takes what the data give.

        Raises:
            ValueError: it does not.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, EpisodeDataModule):
            return
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
            [self.phi], lr=self.algorithm.outer_lr, **self.algorithm.outer_options
        )
        return built

    def outer_lr(self, iteration: int) -> float:
        """Return epsilon_i = epsilon_0 (1 - i/N) + epsilon_N i/N, i counted from 0."""
        done = iteration / self.outer_steps
        return self.algorithm.outer_lr * (1 - done) + self.algorithm.outer_lr_final * done

    def on_train_start(self) -> None:
        gc.unfreeze()  # what an earlier run of this process left
        gc.collect()
        gc.freeze()  # what was made until now lives on: looking through it costs a tenth of a second

    def training_step(self, tasks: Episode, index: int) -> None:
        found = self.algorithm.meta_batch(
            self.loss, self.phi.detach(), self.inner_state, tasks.to_float(self.phi.dtype)
        )
        direction, state = self._average_over_ranks(found.direction, found.state)
        if not is_finite(direction):
            raise self._diverged(found)
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for group in optimizer.param_groups:
            group["lr"] = self.outer_lr(self.global_step)
        self.phi.grad = direction
        before = self.phi.detach().clone()
        optimizer.step()
        if not is_finite(self.phi.detach()):  # the step was too long for a float
            self.phi.detach().copy_(before)
            raise self._diverged(found)
        for index, tensor in enumerate(state):
            setattr(self, f"inner_state_{index}", tensor)
        self._log_losses(found.first_loss, found.last_loss)

    def _diverged(self, found: MetaGradient) -> NotFiniteError:
        return NotFiniteError(
            f"the update of outer iteration {self.global_step} is not finite (inner loss"
            f" {found.first_loss.item():.3g} at the first step, {found.last_loss.item():.3g} at the"
            " last): lower algo.inner_lr or algo.outer_lr; the weights before it are kept"
        )

    def _average_over_ranks(self, direction: Tensor, state: State) -> tuple[Tensor, State]:
        """Average over the ranks' equal shares of the meta-batch, in one message."""
        if self.trainer.world_size == 1:
            return direction, state
        tensors = [direction, *state]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        flat = self.trainer.strategy.reduce(flat, reduce_op="mean")
        pieces = flat.split([tensor.numel() for tensor in tensors])
        mean, *rest = (p.view(t.shape) for p, t in zip(pieces, tensors, strict=True))
        return mean, self._state_type(*rest)

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
                logger.log_metrics({**losses, "train/outer_lr": self.outer_lr(done)}, step=done)

    def evaluation_optimizer(self) -> InnerOptimizer:
        """Return the inner optimiser with evaluation's step size."""
        lr = self.eval_inner_lr or self.algorithm.inner_lr
        return replace(self.algorithm, inner_lr=lr).optimizer

    def adapt(self, task: Episode) -> Tensor:
        """Return the weights, (d,), that evaluation's inner loop reaches on one task of floats."""
        adapted, _ = adapt(
            self.loss,
            self.evaluation_optimizer(),
            self.phi.detach(),
            self.inner_state,
            task.support_batches(),
        )
        return adapted

    def evaluate(self, tasks: Episode) -> dict[str, Tensor]:
        """Score each task of a batch, every one from the same phi and inner state; (tasks,) each."""
        start = self.evaluation_optimizer(), self.phi.detach(), self.inner_state
        tasks = tasks.to_float(self.phi.dtype)
        at_once = len(tasks.support_x) if self.parallel_evaluation else 1
        parts = zip(*(field.split(at_once) for field in tasks), strict=True)
        scores = [
            evaluate_tasks(self.network, self.kind, self.loss, *start, Episode(*part))
            for part in parts
        ]
        return {name: torch.cat([each[name] for each in scores]) for name in scores[0]}

    def validation_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks)

    def on_validation_epoch_end(self) -> None:
        for name, values in self._collected().items():
            self.log(f"val/{name}", values.mean(), prog_bar=True, sync_dist=True)

    def test_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks)

    def on_test_epoch_end(self) -> None:
        self.scores = self._collected()

    def _collect(self, tasks: Episode) -> None:
        for name, values in self.evaluate(tasks).items():
            self._scores[name].update(values)

    def _collected(self) -> dict[str, Tensor]:
        """Return the scores of all ranks' tasks since the last call, (tasks,) each."""
        scores = {name: metric.compute() for name, metric in self._scores.items()}
        for metric in self._scores.values():
            metric.reset()
        return scores

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config


def is_finite(vector: Tensor) -> bool:
    """Tell whether a vector holds neither NaN nor infinity, in one pass."""
    return math.isfinite(vector.sum())
