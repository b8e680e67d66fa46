"""What a run learns and what its checkpoints remember, as a LightningModule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from lightning import LightningModule
from torch import Tensor, nn

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta
from firstorder.network import Network
from firstorder.run.building import class_at, construct
from firstorder.run.checkpoint import read_checkpoint
from firstorder.task.base import TaskKind
from firstorder.task.loss import TaskLoss


class LearnedState(LightningModule):
    """Own the network, the meta-parameters and the inner optimiser's state; save and restore them.

    Args:
        algorithm: adapts to tasks and gives the direction of a meta-batch.
        module: the network; its own parameters are the first phi.
        kind: what kind of tasks it learns from.
        outer_steps: N, over which the outer step size falls.
        config: plain settings that rebuild the run, kept in the checkpoint.
    """

    def __init__(
        self,
        algorithm: MetaAlgorithm,
        module: nn.Module,
        kind: TaskKind,
        *,
        outer_steps: int,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.algorithm, self.kind, self.outer_steps = algorithm, kind, outer_steps
        self.config = dict(config or {})
        self.network = Network(module)
        self.loss = TaskLoss(
            self.network, kind.smoothed(algorithm.label_smoothing), algorithm.loss_reduction
        )
        self.meta_parameters = nn.ParameterDict(algorithm.meta_parameters(self.network))
        loop = algorithm.inner(self.loss, self.meta, self.context())
        state = loop.optimizer.init(loop.phi)
        self._state_type, self._state_size = type(state), len(state)
        self.set_inner_state(state)

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

    def set_inner_state(self, state: State) -> None:
        """Keep the inner optimiser's state, as buffers that checkpoints hold."""
        for index, tensor in enumerate(state):
            self.register_buffer(f"inner_state_{index}", tensor)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["constants"] = self.network.constants()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put back what is not learnt; a training run goes on with the same only.

        Raises:
            ValueError: the frozen parameters, or the shapes of what is learnt, are others than those of
                the checkpoint.
        """
        self._check_shapes(checkpoint)
        then, now = checkpoint["constants"], self.network.constants()
        if self._trainer is not None and then.keys() == now.keys():
            for name, tensor in now.items():
                if not torch.equal(tensor.cpu(), then[name].to(tensor.dtype)):
                    raise ValueError(
                        f"the checkpoint was written with other frozen weights: {name} of"
                        f" {type(self.network.module).__name__} differs; resume with the same network"
                    )
        self.network.set_constants(then)

    def _check_shapes(self, checkpoint: dict[str, Any]) -> None:
        """Make sure that what a checkpoint holds has a place here, the outer optimiser's state too."""
        parameters = list(self.meta_parameters.values())
        moments = {
            f"optimizer_states.{name}.{index}": (tensor, parameters[index])
            for states in checkpoint.get("optimizer_states", [])
            for index, state in states["state"].items()
            for name, tensor in state.items()
            if isinstance(tensor, Tensor) and tensor.dim() and index < len(parameters)
        }
        then, now = checkpoint["state_dict"], self.state_dict()
        learnt = {name: (then.get(name), now.get(name)) for name in {**then, **now}}
        for name, (tensor, place) in {**learnt, **moments}.items():
            shapes = [None if t is None else tuple(t.shape) for t in (tensor, place)]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    f"the checkpoint does not fit this run: {name} has the shape {shapes[0]} in it and"
                    f" {shapes[1]} here; use the settings that it was written with"
                )

    def restore(self, checkpoint: dict[str, Any]) -> None:
        """Take over everything that a checkpoint remembers of what was learnt."""
        self.on_load_checkpoint(checkpoint)
        self.load_state_dict(checkpoint["state_dict"])

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, map_location: Any = None, **changes: Any
    ) -> Self:
        """Rebuild the learner of a run from its checkpoint alone; `changes` replace its arguments.

        Raises:
            ValueError: it names classes of a plug-in that is not trusted, see `firstorder.plugins.trust`.
        """
        checkpoint = read_checkpoint(checkpoint_path)
        config = checkpoint["config"]
        source: Any = class_at("data.source", config["data"]["source"]["_target_"])
        module = changes.pop("module", None)
        arguments = {
            "algorithm": construct("algo", config["algo"]),
            "module": construct("model", config["model"]) if module is None else module,
            "kind": kind_of(source, config["data"]["source"]),
            "outer_steps": config["trainer"]["max_steps"],
            "evaluation": construct("eval", config["eval"]),
            "config": config,
        }
        learner = cls(**{**arguments, **changes})
        learner.restore(checkpoint)
        return learner.to(map_location)


def kind_of(source: Any, settings: Mapping[str, Any]) -> TaskKind:
    """Return the kind of a source's tasks, from its class and its settings, without its data."""
    found: TaskKind = source.kind_of(settings) if hasattr(source, "kind_of") else source.kind
    return found
