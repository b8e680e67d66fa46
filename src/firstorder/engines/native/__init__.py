"""The inner loop of the published convolutional networks, in code of our own, for a processor.

`step.cpp` computes exactly one thing, steps of SGD or Adam on the cross entropy of a `Conv4`, for one
task or for many: near the rate of a large matrix product, where a library's convolutions of a few small
images stay far below. It is built once on a machine, in seconds, and serves every size. Anything else is
not covered, and left to others.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import unwrap
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from firstorder.engines.native.library import Plan, build_library, flags
from firstorder.inner_loop import Batch, Step, adapt, step
from firstorder.inner_optimizer import SGD, Adam, State
from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.model.layers import SameConv2d
from firstorder.network import Network, predict
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import SumOverTasks, TaskLoss

logger = logging.getLogger(__name__)

STEP, ADAPT, PREDICT = unwrap(step), unwrap(adapt), unwrap(predict)
AT_ONCE = 5  # steps of one task, while its weights lie in the caches


class NativeSteps:
    """Take the steps and make the predictions that step.cpp covers; an engine, see `set_engines`.

    Args:
        required: stop where it cannot be built, instead of saying so and leaving all to others.

    Attributes:
        taken: steps and predictions that it took, rather than leaving them to others.

    Raises:
        ValueError: FIRSTORDER_NATIVE_ISA names no instructions of this processor; or it cannot be
            built, at the first step that is covered.
    """

    def __init__(self, required: bool = False) -> None:
        flags()  # a setting that means nothing here is no reason to go on without
        self.required, self.is_broken, self.taken = required, False, 0
        self._plans: dict[Any, Plan] = {}
        self._covered: dict[Network, bool] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what `step`, `adapt` or `predict` returns, or NotImplemented where it is not covered."""
        if function is PREDICT:
            network, phi, x = args
            plan = self._plan(network, phi, x) if phi.dim() == 2 else None
            self.taken += plan is not None
            return plan.predict(phi, x) if plan else NotImplemented
        if function is STEP:
            loss, optimizer, phi, state, batch = args
            return self._steps(loss, optimizer, phi, state, [batch]) or NotImplemented
        if function is ADAPT and network_of(args[0], args[1]):
            return self._adapt(*args)
        return NotImplemented

    def _adapt(
        self, loss: Any, optimizer: Any, phi: Tensor, state: State, batches: Iterable[Batch]
    ) -> tuple[Tensor, State]:
        """Take steps some at a time; one after the other, as written, where they are not covered."""
        for piece in pieces(batches):
            if taken := self._steps(loss, optimizer, phi, state, piece):
                phi, state = taken.phi, taken.state
                continue
            for batch in piece:
                phi, state, _ = step(loss, optimizer, phi, state, batch)
        return phi, state

    def _steps(
        self, loss: Any, optimizer: Any, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> Step | None:
        """Take a few steps; None where they are not covered."""
        network = network_of(loss, optimizer)
        plan = self._plan(network, phi, *(x for x, _ in batches)) if network else None
        labels = all(y.dtype == torch.int64 and y.shape == x.shape[:-3] for x, y in batches)
        moments = all(v.dtype == phi.dtype and v.shape == phi.shape for v in state[:2])
        dims = 2 if type(loss) is SumOverTasks else 1
        if plan is None or not labels or not moments or phi.dim() != dims:
            return None
        last_step = plan.steps(loss, optimizer, phi, state, batches)
        self.taken += len(batches) if last_step else 0
        return last_step

    def _plan(self, network: Network, phi: Tensor, *xs: Tensor) -> Plan | None:
        """Return the plan for mini-batches like xs, all of one size; None where it is not covered."""
        if network not in self._covered:
            self._covered[network] = is_published(network)
        tensors = (phi, *xs)
        if (
            not self._covered[network]
            or any(x.dim() < 4 or x.shape != xs[0].shape for x in xs)
            or any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors)
            or any(t.requires_grad for t in tensors)
            or torch.is_autocast_enabled("cpu")
            or not self.is_built()
        ):
            return None
        key = network, phi.shape[-1], xs[0].shape[-4:], torch.get_num_threads()
        if key not in self._plans:
            self._plans[key] = Plan(build_library(), network.module, xs[0])
        plan = self._plans[key]
        fits = plan.covers and (*xs[0].shape[:-4], plan.size) == phi.shape
        return plan if fits else None

    def is_built(self) -> bool:
        """Build the library at the first call."""
        if not self.is_broken:
            try:
                build_library()
            except ValueError as error:
                if self.required:
                    raise
                self.is_broken = True
                logger.warning("%s, so the inner loop runs slower", error)
        return not self.is_broken


def network_of(loss: Any, optimizer: Any) -> Network | None:
    """Return the network whose cross entropy this is, of one task or of many; else None."""
    loss = loss.loss if type(loss) is SumOverTasks else loss
    covered = (
        type(loss) is TaskLoss
        and loss.criterion is cross_entropy
        and type(optimizer) in (SGD, Adam)
        and not optimizer.weight_decay
    )
    return loss.network if covered else None


def is_published(network: Network) -> bool:
    """Tell whether a network is a Conv4 as it was built: no other class, layer, epsilon or hook."""
    module = network.module
    if type(network) is not Network or type(module) is not Conv4 or module.conv_bias:
        return False
    if network.constants():  # frozen parameters are not in phi
        return False
    pool = [nn.MaxPool2d] if module.downsample == "pool" else []
    layers, block = list(module.features), [SameConv2d, nn.BatchNorm2d, *pool, nn.ReLU]
    return (
        [type(layer) for layer in layers] == block * 4
        and type(module.head) is nn.Linear
        and all(n.eps == EPSILON for n in layers if isinstance(n, nn.BatchNorm2d))
        and not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())
    )


def pieces(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Cut a sequence of mini-batches into pieces of `AT_ONCE`."""
    rest = iter(batches)
    while piece := list(islice(rest, AT_ONCE)):
        yield piece
