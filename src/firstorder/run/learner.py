"""The outer loop, as a LightningModule around an algorithm and what it learns."""

import gc
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings, Evaluator, curve_steps
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.network import Network
from firstorder.run.checkpoint import read_checkpoint
from firstorder.run.scores import CollectScores, TaskScores
from firstorder.task.base import Example, Scores, TaskKind
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss


class NotFiniteError(ValueError):
    """Training diverged; the weights are still those before the bad iteration."""


class MetaLearner(LightningModule):
    """Own the meta-parameters and the inner optimiser's state, and step them along directions.

    Args:
        algorithm: adapts to tasks and gives the direction of a meta-batch.
        module: the network; its own parameters are the first phi.
        kind: what kind of tasks it learns from.
        outer_steps: N, over which the outer step size falls.
        evaluation: how tasks are evaluated; as in training where None.
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
        evaluation: EvaluationSettings | None = None,
        log_every: int = 50,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.algorithm, self.kind = algorithm, kind
        self.outer_steps, self.log_every = outer_steps, log_every
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
        evaluation = evaluation or EvaluationSettings(curve_tasks=0)
        lr = evaluation.inner_lr
        evaluated = algorithm if lr is None else algorithm.with_inner_lr(lr)
        self.evaluator = Evaluator(evaluated, kind, self.loss, evaluation.parallel)
        self.curve_settings = evaluation
        self.collect_scores = CollectScores(kind.protocols)
        self.validated: TaskScores | None = None  # what the last validation scored
        self.tested: TaskScores | None = None  # what the last test scored
        self._curve: list[list[Scores]] = []  # a batch of tasks, a number of inner steps

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

    def _log(self, metrics: dict[str, float], not_shown: Mapping[str, float] | None = None) -> None:
        """Log a line at the last iteration, counted from 0, and show it in the progress bar.

        Lightning's own count of it is ahead after a resume from a run's end.
        """
        self.log_dict(metrics, prog_bar=True, logger=False)
        for logger in self.loggers:
            logger.log_metrics({**metrics, **(not_shown or {})}, step=self.global_step - 1)

    def adapt(self, task: Episode) -> Tensor:
        """Return the weights, (d,), that evaluation's inner loop reaches on one task of floats."""
        return self.evaluator.adapt(self.meta, self.inner_state, task)

    def example(self, task: Episode) -> Example:
        """Adapt to a task step by step, from what was learnt and from a random initialisation."""
        untrained = self.algorithm.meta_parameters(self.network)
        starts = {
            f"after {self.algorithm.name}": (self.meta, self.inner_state),
            "random initialisation": (untrained, None),
        }
        return self.evaluator.example(task.to_float(self.phi.dtype), starts)

    def evaluate(self, tasks: Episode, steps: int | None = None) -> tuple[Scores, Tensor]:
        """Score each task of a batch and say whether it diverged, (tasks,); see `Evaluator.score`."""
        tasks = tasks.to_float(self.phi.dtype)
        return self.evaluator.score(self.meta, self.inner_state, tasks, steps)

    def validation_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks, self.trainer.val_dataloaders, index)

    def on_validation_epoch_end(self) -> None:
        self.validated = self.collect_scores.collected()
        data = getattr(self.trainer, "datamodule", None)
        prefix = data.monitor_prefix if isinstance(data, EpisodeDataModule) else "val"
        self._log({f"{prefix}/{k}": v.mean().item() for k, v in self.validated.scores.items()})

    def on_test_start(self) -> None:
        self._curve.clear()

    def test_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks, self.trainer.test_dataloaders, index)
        settings = self.curve_settings
        seen = sum(len(batch[0][self.kind.protocols[0]]) for batch in self._curve)
        if self.trainer.is_global_zero and seen < settings.curve_tasks:
            counts = curve_steps(settings.inner_steps)
            self._curve.append([self.evaluate(tasks, steps)[0] for steps in counts])

    def on_test_epoch_end(self) -> None:
        self.tested = self.collect_scores.collected()
        means = {f"test/{k}": values.mean() for k, values in self.tested.scores.items()}
        self.log_dict(means, logger=False)  # trainer.test returns them; results.json holds them

    @property
    def adaptation_curve(self) -> dict[str, Any]:
        """Mean scores after several numbers of inner steps, on the first tasks of the last test.

        {"steps": [0, 1, ...], "tasks": n, protocol: [mean, ...], ...}; empty where none was measured.
        """
        if not self._curve:
            return {}
        means = {
            name: [
                torch.cat([batch[i][name] for batch in self._curve]).double().mean().item()
                for i in range(len(self._curve[0]))
            ]
            for name in self.kind.protocols
        }
        tasks = sum(len(batch[0][self.kind.protocols[0]]) for batch in self._curve)
        return {"steps": curve_steps(self.curve_settings.inner_steps), "tasks": tasks, **means}

    def objective(self, split: str | None) -> float | None:
        """Return the last score on the split "val" or "test" for a sweep to maximise, if there is one."""
        scored = {"val": self.validated, "test": self.tested, None: None}[split]
        return None if scored is None else self.kind.objective(scored.scores)

    def _collect(self, tasks: Episode, loader: Any, index: int) -> None:
        scores, diverged = self.evaluate(tasks)
        self.collect_scores.update(loader.batches.numbers(index), scores, diverged)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["constants"] = self.network.constants()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put back what is not learnt; a training run goes on with the same only.

        Raises:
            ValueError: the frozen parameters are others than those of the checkpoint.
        """
        then, now = checkpoint["constants"], self.network.constants()
        if self._trainer is not None and then.keys() == now.keys():
            for name, tensor in now.items():
                if not torch.equal(tensor.cpu(), then[name].to(tensor.dtype)):
                    raise ValueError(
                        f"the checkpoint was written with other frozen weights: {name} of"
                        f" {type(self.network.module).__name__} differs; resume with the same network"
                    )
        self.network.set_constants(then)

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take over everything that a checkpoint remembers of what was learnt."""
        self.on_load_checkpoint(checkpoint)
        self.load_state_dict(checkpoint["state_dict"])

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = None, **changes: Any
    ) -> "MetaLearner":
        """Rebuild the learner of a run from its checkpoint alone; `changes` replace its arguments."""
        checkpoint = read_checkpoint(checkpoint_path)
        config = checkpoint["config"]
        source: Any = get_class(config["data"]["source"]["_target_"])
        arguments = {
            "algorithm": instantiate(config["algo"], _convert_="all"),
            "module": instantiate(config["model"], _convert_="all"),
            "kind": source.kind,
            "outer_steps": config["trainer"]["max_steps"],
            "evaluation": instantiate(config["eval"], _convert_="all"),
            "config": config,
        }
        learner = cls(**{**arguments, **changes})
        learner.restore(checkpoint)
        return learner.to(map_location)


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Tell whether no tensor holds NaN or infinity, in one pass over each."""
    return all(math.isfinite(tensor.sum()) for tensor in tensors)
