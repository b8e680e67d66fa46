"""The inner step of the published convolutional networks in machine code of our own, for a processor.

`step.cpp` computes exactly one thing, a step of SGD or Adam on the cross entropy of a `Conv4`, for one
task or for many: near the rate of a large matrix product, where a library's convolutions of a few small
images stay far below. It is built once on a machine, in seconds, and serves every size. Anything else is
not covered, and left to others.
"""

import ctypes
import hashlib
import logging
import subprocess
from collections.abc import Callable
from ctypes import POINTER, byref, c_bool, c_double, c_float, c_int, c_void_p
from functools import cache
from inspect import unwrap
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor
from torch._inductor.cpp_builder import get_cpp_compiler

from firstorder.compilation import processor
from firstorder.data.cache import cache_root
from firstorder.inner_loop import SGD, Adam, AdamState, Step, step
from firstorder.model import Conv4
from firstorder.objective import OverTasks, TaskLoss, cross_entropy

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp"]
FLAGS += ["-std=c++17", "-shared", "-fPIC"]


class CTensors(ctypes.Structure):
    """Mirror `Tensors` of step.cpp."""

    _fields_ = [
        (name, c_void_p)
        for name in ("x", "y", "phi", "m", "v", "next_phi", "next_m", "next_v", "losses")
    ]


class COptimizer(ctypes.Structure):
    """Mirror `Optimizer` of step.cpp."""

    _fields_ = [("adam", c_int), *((name, c_float) for name in ("lr", "beta1", "beta2", "eps"))]


class NativeSteps:
    """Take the inner steps that step.cpp covers; an engine, see `firstorder.compilation.use`."""

    def __init__(self) -> None:
        self.library = build_library()
        self._plans: dict[Any, Plan | None] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Take a step, or return NotImplemented where it is not covered."""
        loss, optimizer, phi, state, (x, y) = args
        key = (loss, type(optimizer), phi.dtype, phi.device.type, x.shape, torch.get_num_threads())
        if key not in self._plans:
            is_covered = function is unwrap(step) and covers(loss, optimizer, phi)
            self._plans[key] = Plan(self.library, loss, x) if is_covered else None
        plan = self._plans[key]
        if plan is None or torch.is_autocast_enabled("cpu"):
            return NotImplemented
        return plan.step(optimizer, phi, state, x, y)


def covers(loss: Any, optimizer: Any, phi: Tensor) -> bool:
    """Tell whether step.cpp computes steps like these."""
    if isinstance(loss, OverTasks):
        loss = loss.loss
    if not (isinstance(loss, TaskLoss) and type(loss.network.module) is Conv4):
        return False
    module = loss.network.module
    return (
        loss.criterion is cross_entropy
        and type(optimizer) in (SGD, Adam)
        and phi.device.type == "cpu"
        and phi.dtype == torch.float32
        and module.filters % build_library().lanes() == 0
        and not module.conv_bias
    )


class Plan:
    """Hold a network's plan for mini-batches of one size, and the space to work in."""

    def __init__(self, library: ctypes.CDLL, loss: Any, x: Tensor) -> None:
        self.over_tasks = isinstance(loss, OverTasks)
        loss = loss.loss if self.over_tasks else loss
        module, pool = loss.network.module, loss.network.module.downsample == "pool"
        n, channels, side = x.shape[-4:-1]
        self.library, self.ways = library, module.head.out_features
        self.weight = 1.0 if loss.reduction == "sum" else 1 / n
        stride, window = (1, 2) if pool else (2, 1)
        self.pointer = library.make_plan(
            n, channels, side, module.filters, 4, stride, window, self.ways, 1e-3,
            torch.get_num_threads(),
        )  # fmt: skip

    def __del__(self) -> None:
        self.library.drop_plan(self.pointer)

    def step(self, optimizer: Any, phi: Tensor, state: Any, x: Tensor, y: Tensor) -> Step:
        """Take a step on one task, phi (d,), or on many, phi (tasks, d)."""
        x, y, phi = x.contiguous(), y.contiguous(), phi.contiguous()
        next_phi, losses = torch.empty_like(phi), phi.new_empty(phi.shape[:-1])
        if isinstance(optimizer, Adam):
            settings = COptimizer(1, optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.eps)
            m, v, t = state[0].contiguous(), state[1].contiguous(), state[2] + 1
            state = AdamState(torch.empty_like(m), torch.empty_like(v), t)
            tensors = (x, y, phi, m, v, next_phi, state.m, state.v, losses)
        else:
            settings, t = COptimizer(0, optimizer.lr), 0.0
            tensors = (
                x,
                y,
                phi,
                phi,
                phi,
                next_phi,
                phi,
                phi,
                losses,
            )  # no moments: none are touched
        taken = self.library.take_step(
            self.pointer, byref(settings), byref(CTensors(*(tensor.data_ptr() for tensor in tensors))),
            losses.numel(), float(t), self.weight,
        )  # fmt: skip
        assert taken, "labels are those of a way"
        return Step(next_phi, state, losses.sum() if self.over_tasks else losses)


@cache
def build_library() -> ctypes.CDLL:
    """Build the library, or load what was built on such a processor before.

    Raises:
        ValueError: the compiler refuses.
    """
    compiler = get_cpp_compiler()
    texts = [path.read_text() for path in sorted(SOURCES.glob("*.[hc]*"))]
    digest = hashlib.sha256(repr([texts, FLAGS, compiler, processor()]).encode()).hexdigest()[:16]
    path = cache_root() / "compiled" / f"conv4-{digest}.so"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            logger.info("building the inner loop for this processor, once ...")
            partial = path.with_suffix(".partial")
            command = [compiler, *FLAGS, "-o", str(partial), str(SOURCES / "step.cpp")]
            built = subprocess.run(command, capture_output=True, text=True, check=False)
            if built.returncode:
                reason = (built.stderr.strip().splitlines() or ["no reason given"])[0]
                raise ValueError(
                    f"the inner loop could not be built: {reason}; go on with trainer.compile=never"
                )
            partial.replace(path)
    library = ctypes.CDLL(str(path))
    library.make_plan.restype = c_void_p
    library.make_plan.argtypes = [*[c_int] * 8, c_float, c_int]
    library.drop_plan.argtypes = [c_void_p]
    library.drop_plan.restype = None
    library.take_step.restype = c_bool
    library.take_step.argtypes = [
        c_void_p, POINTER(COptimizer), POINTER(CTensors), c_int, c_double, c_float
    ]  # fmt: skip
    return library
