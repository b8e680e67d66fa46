"""The outer loop, as a LightningModule around an algorithm and what it learns."""

import gc
import math
from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.run.evaluated import EvaluatedLearner
from firstorder.task.episode import Episode


class NotFiniteError(ValueError):
    """Training diverged; the weights are still those before the bad iteration."""


class MetaLearner(EvaluatedLearner):
    """Step the meta-parameters along the directions that the algorithm gives.

    Args:
        arguments, keywords: of `EvaluatedLearner`: algorithm, module and kind; outer_steps, evaluation
            and config.
        log_every: outer iterations between two lines of metrics.
    """

    def __init__(self, *arguments: Any, log_every: int = 50, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.automatic_optimization = False
        self.log_every = log_every
        self._losses: list[Tensor] = []

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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["losses"] = list(self._losses)  # of the line of metrics that comes next

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._losses = [losses.to(self.device) for losses in checkpoint.get("losses", [])]

    def on_train_start(self) -> None:
        gc.unfreeze()  # what an earlier run of this process left
        gc.collect()
        gc.freeze()  # what was made until now lives on: looking through it costs a tenth of a second

    def training_step(self, tasks: Episode, index: int) -> None:
        context = self.context(self.global_step)
        gradient = self.algorithm.meta_batch(
            self.loss, self.meta, self.inner_state, tasks.to_float(self.phi.dtype), context
        )
        direction, state = self._average_over_ranks(gradient.direction, gradient.state)
        if not are_finite(direction.values()):
            raise self._diverged_at(gradient)
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
            raise self._diverged_at(gradient)
        for index, tensor in enumerate(state):
            setattr(self, f"inner_state_{index}", tensor)
        self._log_losses(gradient.first_loss, gradient.last_loss)

    def _diverged_at(self, gradient: MetaGradient) -> NotFiniteError:
        return NotFiniteError(
            f"the update of outer iteration {self.global_step} is not finite (inner loss"
            f" {gradient.first_loss.item():.3g} an example at the first step,"
            f" {gradient.last_loss.item():.3g} at the last): lower algo.inner_lr or algo.outer_lr; the"
            " weights before it are kept"
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
            done = self.context(self.global_step - 1)
            self._log(losses, {"train/outer_lr": self.algorithm.outer_lr_at(done)})


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether no tensor holds NaN or infinity, in one pass over each."""
    return all(math.isfinite(tensor.sum()) for tensor in tensors)
