"""Call step.cpp on mini-batches of one size: tensors in, tensors out."""

import ctypes
from collections.abc import Sequence
from ctypes import byref
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from firstorder.engines.native.structures import COptimizer, CTensors, CVectors, addresses
from firstorder.inner_loop import Batch, Step
from firstorder.inner_optimizer import Adam, AdamState
from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.task.loss import SumOverTasks


class Plan:
    """A network's plan for mini-batches of one size, and the memory that its steps work in.

    Attributes:
        covers: whether step.cpp computes such mini-batches.
        size: d, the number of weights.
    """

    def __init__(
        self, library: ctypes.CDLL, module: nn.Module, x: Tensor, smoothing: float
    ) -> None:
        assert isinstance(module, Conv4)
        self.library, self.ways, self.lock = library, module.head.out_features, Lock()
        self.n, channels, height, width = x.shape[-4:]
        self.size = sum(p.numel() for p in module.parameters())
        pool = module.downsample == "pool"
        stride, window = (1, 2) if pool else (2, 1)
        last = -(-height // 2 ** (module.blocks - 1))  # side of the last block's input
        last = last if pool else -(-last // 2)
        self.covers = (
            (channels, height, width) == (module.in_channels, module.image_size, module.image_size)
            and module.filters % library.lanes() == 0
            and self.n * last * last > 1  # of a single number there is no variance
        )
        self.pointer = None
        if self.covers:
            self.pointer = library.make_plan(
                self.n, channels, height, module.filters, module.blocks, stride, window, self.ways,
                EPSILON, smoothing, torch.get_num_threads(),
            )  # fmt: skip
            if not self.pointer or library.plan_size(self.pointer) != self.size:
                raise RuntimeError("step.cpp does not compute this network, though it should")

    def __del__(self) -> None:
        if self.pointer:
            self.library.drop_plan(self.pointer)

    def steps(
        self, loss: Any, optimizer: Any, phi: Tensor, state: Any, batches: Sequence[Batch]
    ) -> Step | None:
        """Take steps on one task, phi (d,), or on many, phi (tasks, d); the loss is the last one."""
        xs, ys = ([tensor.contiguous() for tensor in given] for given in zip(*batches, strict=True))
        phi = phi.contiguous()
        new_phi, losses = torch.empty_like(phi), phi.new_empty(phi.shape[:-1])
        if isinstance(optimizer, Adam):
            old, t = (phi, state[0].contiguous(), state[1].contiguous()), float(state[2])
            state = AdamState(torch.empty_like(phi), torch.empty_like(phi), state[2] + len(xs))
            new = new_phi, state.m, state.v
        else:
            old, new, t = (phi,) * 3, (new_phi, phi, phi), 0.0  # no moments: none are touched
        many = isinstance(loss, SumOverTasks)
        is_sum = (loss.loss if many else loss).reduction == "sum"
        x_at, y_at = addresses(xs), addresses(ys)
        places = ctypes.addressof(x_at), ctypes.addressof(y_at)
        tensors = CTensors(*places, CVectors.of(*old), CVectors.of(*new), losses.data_ptr())
        with self.lock:
            taken = self.library.take_steps(
                self.pointer, byref(COptimizer.of(optimizer)), byref(tensors), losses.numel(),
                len(xs), t + 1, 1.0 if is_sum else 1 / self.n,
            )  # fmt: skip
        if not taken:  # a label that is not one of a way
            return None
        return Step(new_phi, state, losses.sum() if many else losses)

    def differentiate(
        self, loss: Any, phi: Tensor, batch: Batch, vector: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """Return the gradient, or the Hessian times a vector, shaped like phi, and the loss."""
        x, y, phi = batch[0].contiguous(), batch[1].contiguous(), phi.contiguous()
        vector = None if vector is None else vector.contiguous()
        derivative, losses = torch.empty_like(phi), phi.new_empty(phi.shape[:-1])
        many = isinstance(loss, SumOverTasks)
        is_sum = (loss.loss if many else loss).reduction == "sum"
        places = [
            None if t is None else t.data_ptr() for t in (x, y, phi, vector, derivative, losses)
        ]
        with self.lock:
            done = self.library.differentiate(
                self.pointer, *places, losses.numel(), 1.0 if is_sum else 1 / self.n
            )
        if not done:  # a label that is not one of a way
            return None
        return derivative, losses.sum() if many else losses

    def predict(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the outputs, (tasks, n, ways), of many tasks' networks."""
        phi, x = phi.contiguous(), x.contiguous()
        outputs = phi.new_empty(len(x), self.n, self.ways)
        places = (tensor.data_ptr() for tensor in (x, phi, outputs))
        with self.lock:
            self.library.predict(self.pointer, *places, len(x))
        return outputs
