"""The outer loop, as a LightningModule around an algorithm and what it learns."""

import gc
import logging
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from firstorder import outer_optimizer
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.evaluated import EvaluatedLearner
from firstorder.run.idle_gpu import advice
from firstorder.run.look_back import (
    ON_GPU,
    Iteration,
    NotFiniteError,
    are_finite,
    first_bad,
    put_back,
    remember,
)
from firstorder.run.ranks import average_over_ranks
from firstorder.task.episode import Episode

logger = logging.getLogger(__name__)


class MetaLearner(EvaluatedLearner):
    """Step the meta-parameters along the directions that the algorithm gives.

    Args:
        arguments, keywords: of `EvaluatedLearner`: algorithm, module and kind; outer_steps, evaluation
            and config.
        log_every: outer iterations between two lines of metrics.
        look_back: outer iterations after which it is found out whether they were finite; one, or some
            on a GPU, where None.

    Attributes:
        ask: returns numbers that this rank has for all, see `SaveCheckpoints`.
        asked: their mean over the ranks, of the last iteration.
    """

    def __init__(
        self,
        *arguments: Any,
        log_every: int = 50,
        look_back: int | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.automatic_optimization = False
        self.log_every, self.look_back = log_every, look_back
        self.ask: Callable[[], list[float]] = list
        self.asked = torch.zeros(0)
        self._losses: list[Tensor] = []  # of the iterations since the last line of metrics
        self._unseen: list[Iteration] = []  # the last of them, which may not be finite

    def setup(self, stage: str = "") -> None:
        """Make sure that the network, the loss and the score take what the data give.

        Raises:
            ValueError: they do not.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, EpisodeDataModule):
            return
        self.network.module.to(self.device, self.phi.dtype)  # what isn't learnt goes along
        first = data.test_sampler()[0].to_float(self.phi.dtype)
        task = Episode(*(field.to(self.device) for field in first))
        shape = tuple(task.support_x.shape[1:])
        try:
            with torch.no_grad():
                self.network(self.phi, task.support_x)
        except (RuntimeError, IndexError) as error:
            raise ValueError(
                f"{type(self.network.module).__name__} does not take inputs of shape {shape}, those of"
                f" {data.source.name}: see the settings of model.* ({error})"
            ) from error
        self.kind.check_task(self.network, self.phi, task)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        chosen = self.algorithm
        return outer_optimizer.build(
            chosen.outer_optimizer,
            self.meta_parameters.values(),
            chosen.outer_lr,
            chosen.outer_options,
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.make_sure_finite()
        super().on_save_checkpoint(checkpoint)
        checkpoint["losses"] = list(self._losses)  # of the line of metrics that comes next

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self._losses = [losses.to(self.device) for losses in checkpoint.get("losses", [])]

    def on_train_start(self) -> None:
        is_told = self.device.type == "cuda" and self.trainer.is_global_zero
        if is_told and (sentence := advice(self.algorithm)):
            logger.info(sentence)
        gc.unfreeze()  # what an earlier run of this process left
        gc.collect()
        gc.freeze()  # what was made until now lives on: looking through it costs a tenth of a second

    def training_step(self, tasks: Episode, index: int) -> None:
        context = self.context(self.global_step)
        gradient = self.algorithm.meta_batch(
            self.loss, self.meta, self.inner_state, tasks.to_float(self.phi.dtype), context
        )
        if self.trainer.world_size > 1:
            share = len(tasks.support_x) / self.algorithm.meta_batch_size
            mine = torch.tensor(self.ask(), dtype=self.phi.dtype, device=self.device)
            gradient, self.asked = average_over_ranks((gradient, mine), share)
        direction = gradient.direction
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        for group in optimizer.param_groups:
            group["lr"] = self.algorithm.outer_lr_at(context)
        before = remember(self.trainer, optimizer.optimizer, self.meta, self.inner_state)
        for name, parameter in self.meta_parameters.items():
            parameter.grad = direction[name]
        optimizer.step()
        self.set_inner_state(gradient.state)
        self._losses.append(torch.stack([gradient.first_loss, gradient.last_loss]))
        is_finite = are_finite([*direction.values(), *self.meta.values()])
        self._unseen.append(Iteration(before, is_finite, self._losses[-1]))
        is_logged = self.global_step % self.log_every == 0 or self.global_step == self.outer_steps
        if is_logged or len(self._unseen) >= (self.look_back or self._usual_look_back):
            self.make_sure_finite()
        if is_logged:
            self._log_losses()

    @property
    def _usual_look_back(self) -> int:
        return ON_GPU if self.device.type == "cuda" else 1

    def make_sure_finite(self) -> None:
        """Look at the iterations that nobody has looked at.

        Raises:
            NotFiniteError: one is not finite; it and what came after are undone.
        """
        if error := self.undo_if_not_finite():
            raise error

    def undo_if_not_finite(self) -> NotFiniteError | None:
        """Undo everything from the first iteration on that is not finite; return what is to be said."""
        place, unseen = first_bad(self._unseen), self._unseen
        self._unseen = []
        if place is None:
            return None
        (before, _, losses), optimizer = unseen[place], self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        put_back(before, self.trainer, optimizer.optimizer, self.meta)
        self.set_inner_state(before.state)
        del self._losses[place - len(unseen) :]
        first, last = losses.tolist()
        return NotFiniteError(
            f"the update of outer iteration {before.iteration} is not finite (inner loss {first:.3g} an"
            f" example at the first step, {last:.3g} at the last): lower algo.inner_lr or"
            " algo.outer_lr; the weights before it are kept"
        )

    def on_validation_start(self) -> None:
        self.make_sure_finite()

    def on_train_end(self) -> None:
        self.make_sure_finite()

    def _log_losses(self) -> None:
        """Log means over the last iterations, now and then: one call costs Lightning a millisecond."""
        before, after = torch.stack(self._losses).mean(0).tolist()
        self._losses.clear()
        losses = {"train/loss_before": before, "train/loss_after": after}
        done = self.context(self.global_step - 1)
        self._log(losses, {"train/outer_lr": self.algorithm.outer_lr_at(done)})
