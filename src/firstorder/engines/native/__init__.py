"""The inner loop of the published convolutional networks, in code of our own, for a processor.

`step.cpp` computes the cross entropy of a `Conv4`, its gradient, its Hessian times a vector, and steps of
SGD or Adam on it, for one task or for many: near the rate of a large matrix product, where a library's
convolutions of a few small images stay far below. It is built once on a machine, in seconds, and serves
every size. Anything else is not covered, and left to others.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from inspect import unwrap
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from firstorder.engines.native.adam import adam_update, adam_update_vjp
from firstorder.engines.native.covered import is_published, network_of, smoothing_of
from firstorder.engines.native.library import build_library, flags
from firstorder.engines.native.plan import Plan
from firstorder.inner_loop import Batch, Step, adapt, gradient_and_value, step, update
from firstorder.inner_optimizer import SGD, Adam, State
from firstorder.network import Network, predict
from firstorder.second_order import hessian_vector, recorded_step, step_vjp, update_vjp
from firstorder.task.loss import SumOverTasks

logger = logging.getLogger(__name__)

STEP, ADAPT, PREDICT = unwrap(step), unwrap(adapt), unwrap(predict)
GRADIENT, HESSIAN = unwrap(gradient_and_value), unwrap(hessian_vector)
UPDATE, UPDATE_VJP = unwrap(update), unwrap(update_vjp)
MADE_OF_OTHERS = unwrap(recorded_step), unwrap(step_vjp)
WORTHWHILE = 5000  # weights, above which Adam's dozen passes over them take longer than a call
AT_ONCE = 5  # steps of one task, while its weights lie in the caches


class NativeSteps:
    """Take the steps and make the predictions that step.cpp covers; an engine, see `set_engines`.

    Args:
        required: stop where it cannot be built, instead of saying so and leaving all to others.

    Attributes:
        taken: steps, predictions and derivatives that it took, rather than leaving them to others.

    Raises:
        ValueError: FIRSTORDER_NATIVE_ISA names no instructions of this processor; or it cannot be
            built, at the first step that is covered.
    """

    def __init__(self, required: bool = False) -> None:
        flags()  # a setting that means nothing here is no reason to go on without
        self.required, self.is_broken, self.taken = required, False, 0
        self._plans: dict[Any, Plan] = {}
        self._covered: dict[Network | None, bool] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what the function returns, or NotImplemented where it is not covered."""
        if function is PREDICT:
            network, phi, x = args
            plan = self._plan(network, phi, xs=[x]) if phi.dim() == 2 else None
            self.taken += plan is not None
            return plan.predict(phi, x) if plan else NotImplemented
        if function is STEP:
            loss, optimizer, phi, state, batch = args
            return self._steps(loss, optimizer, phi, state, [batch]) or NotImplemented
        if function is ADAPT and network_of(args[0]):
            return self._adapt(*args)
        if function is GRADIENT:
            return self._differentiate(*args) or NotImplemented
        if function is HESSIAN:
            found = self._differentiate(*args)
            return found[0] if found else NotImplemented
        if function in MADE_OF_OTHERS and self._covers(network_of(args[0])):
            return function(*args)
        if function in (UPDATE, UPDATE_VJP) and type(args[0]) is Adam:
            made = adam_update if function is UPDATE else adam_update_vjp
            if args[2].numel() < WORTHWHILE or not self.is_built():
                return NotImplemented
            return made(build_library(), *args) or NotImplemented
        return NotImplemented

    def _differentiate(
        self, loss: Any, phi: Tensor, batch: Batch, *vectors: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Return the gradient, or the Hessian times a vector, and the loss; None if not covered."""
        plan = self._plan_of(loss, phi, [batch], vectors)
        found = plan.differentiate(loss, phi, batch, *vectors) if plan else None
        self.taken += found is not None
        return found

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
        if type(optimizer) not in (SGD, Adam):
            return None
        if optimizer.weight_decay:
            return self._shrinking_steps(loss, optimizer, phi, state, batches)
        plan = self._plan_of(loss, phi, batches, state[:2])
        last_step = plan.steps(loss, optimizer, phi, state, batches) if plan else None
        self.taken += len(batches) if last_step else 0
        return last_step

    def _shrinking_steps(
        self, loss: Any, optimizer: Any, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> Step | None:
        """Take steps with weight decay: one without it from the shrunk weights, then the next."""
        taken, plain = None, replace(optimizer, weight_decay=0.0)
        for batch in batches:
            taken = self._steps(loss, plain, optimizer.before_gradient(phi), state, [batch])
            if taken is None:
                return None
            phi, state = taken.phi, taken.state
        return taken

    def _plan_of(
        self, loss: Any, phi: Tensor, batches: Sequence[Batch], vectors: Sequence[Tensor]
    ) -> Plan | None:
        """Return the plan for a loss of mini-batches, with vectors beside phi; None if not covered."""
        network, xs, plan = network_of(loss), [x for x, _ in batches], None
        if network:
            plan = self._plan(network, phi, *vectors, xs=xs, smoothing=smoothing_of(loss))
        labels = all(y.dtype == torch.int64 and y.shape == x.shape[:-3] for x, y in batches)
        dims = 2 if type(loss) is SumOverTasks else 1
        is_covered = labels and phi.dim() == dims and all(v.shape == phi.shape for v in vectors)
        return plan if is_covered else None

    def _plan(
        self,
        network: Network,
        phi: Tensor,
        *vectors: Tensor,
        xs: Sequence[Tensor],
        smoothing: float = 0.0,
    ) -> Plan | None:
        """Return the plan for mini-batches like xs, all of one size; None where it is not covered."""
        tensors = (phi, *vectors, *xs)
        if (
            not self._covers(network)
            or any(x.dim() < 4 or x.shape != xs[0].shape for x in xs)
            or any(t.device.type != "cpu" or t.dtype != torch.float32 for t in tensors)
            or any(t.requires_grad for t in tensors)
            or torch.is_autocast_enabled("cpu")
            or not self.is_built()
        ):
            return None
        key = network, phi.shape[-1], xs[0].shape[-4:], smoothing, torch.get_num_threads()
        if key not in self._plans:
            self._plans[key] = Plan(build_library(), network.module, xs[0], smoothing)
        plan = self._plans[key]
        fits = plan.covers and (*xs[0].shape[:-4], plan.size) == phi.shape
        return plan if fits else None

    def _covers(self, network: Network | None) -> bool:
        """Tell whether step.cpp computes a network."""
        if network not in self._covered:
            self._covered[network] = network is not None and is_published(network)
        return self._covered[network]

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


def pieces(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Cut a sequence of mini-batches into pieces of `AT_ONCE`."""
    rest = iter(batches)
    while piece := list(islice(rest, AT_ONCE)):
        yield piece
