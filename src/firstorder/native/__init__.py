"""The inner loop of the published convolutional networks, in code of our own, for a processor.

`step.cpp` computes exactly one thing, steps of SGD or Adam on the cross entropy of a `Conv4`, for one
task or for many: near the rate of a large matrix product, where a library's convolutions of a few small
images stay far below. It is built once on a machine, in seconds, and serves every size. Anything else is
not covered, and left to others.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from inspect import unwrap
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from firstorder.evaluation import predict
from firstorder.inner_loop import SGD, Adam, Batch, adapt, step
from firstorder.model import Conv4
from firstorder.native.library import Plan, build_library
from firstorder.network import Network
from firstorder.objective import OverTasks, TaskLoss, cross_entropy

logger = logging.getLogger(__name__)

AT_ONCE = 10  # steps of one task, while its weights lie in the caches


class NativeSteps:
    """Take the steps and make the predictions that step.cpp covers; an engine, see `compilation.use`.

    Args:
        required: stop where it cannot be built, instead of saying so and leaving all to others.

    Raises:
        ValueError: at the first step that is covered.
    """

    def __init__(self, required: bool = False) -> None:
        self.required, self.is_broken = required, False
        self._plans: dict[Any, Plan] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what `step`, `adapt` or `predict` returns, or NotImplemented where it is not covered."""
        if function is unwrap(predict):
            network, phi, x = args
            return self._plan(network, x).predict(phi, x) if self.covers(*args) else NotImplemented
        if function not in (unwrap(step), unwrap(adapt)):
            return NotImplemented
        loss, optimizer, phi, state, given = args
        network = network_of(loss, optimizer)
        if network is None or not self.covers(network, phi):
            return NotImplemented
        if function is unwrap(step):
            return self._plan(network, given[0]).steps(loss, optimizer, phi, state, [given])
        for batches in pieces(given):
            plan = self._plan(network, batches[0][0])
            phi, state, _ = plan.steps(loss, optimizer, phi, state, batches)
        return phi, state

    def covers(self, network: Network, phi: Tensor, *_: Tensor) -> bool:
        """Tell whether step.cpp computes this network, and can be built here."""
        module = network.module
        return (
            type(module) is Conv4
            and not module.conv_bias
            and phi.device.type == "cpu"
            and phi.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and self.is_built()
            and module.filters % build_library().lanes() == 0
        )

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

    def _plan(self, network: Network, x: Tensor) -> Plan:
        """Return the plan for mini-batches like x."""
        key = network, x.shape[-4:], torch.get_num_threads()
        if key not in self._plans:
            self._plans[key] = Plan(build_library(), network.module, x)
        return self._plans[key]


def network_of(loss: Any, optimizer: Any) -> Network | None:
    """Return the network whose cross entropy this is, of one task or of many; else None."""
    loss = loss.loss if isinstance(loss, OverTasks) else loss
    covered = (
        isinstance(loss, TaskLoss)
        and loss.criterion is cross_entropy
        and type(optimizer) in (SGD, Adam)
    )
    return loss.network if covered else None


def pieces(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Cut a sequence of mini-batches into pieces of `AT_ONCE`."""
    rest = iter(batches)
    while piece := list(islice(rest, AT_ONCE)):
        yield piece
