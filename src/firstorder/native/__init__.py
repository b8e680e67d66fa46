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
from torch import Tensor, nn
from torch._inductor.cpp_builder import get_cpp_compiler

from firstorder.compilation import processor
from firstorder.data.cache import cache_root
from firstorder.evaluation import predict
from firstorder.inner_loop import SGD, Adam, AdamState, Step, step
from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.network import Network
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
    """Take the steps and make the predictions that step.cpp covers; an engine, see `compilation.use`."""

    def __init__(self) -> None:
        self.library = build_library()
        self._plans: dict[Any, Plan | None] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what `step` or `predict` returns, or NotImplemented where it is not covered."""
        if function is unwrap(step):
            loss, optimizer, phi, state, (x, y) = args
            plan = self._plan(network_of(loss, optimizer), phi, x)
            return plan.step(loss, optimizer, phi, state, x, y) if plan else NotImplemented
        if function is unwrap(predict):
            network, phi, x = args
            plan = self._plan(network, phi, x)
            return plan.predict(phi, x) if plan else NotImplemented
        return NotImplemented

    def _plan(self, network: Network | None, phi: Tensor, x: Tensor) -> "Plan | None":
        """Return the plan for mini-batches like x; None where the network is not covered."""
        if network is None or torch.is_autocast_enabled("cpu"):
            return None
        key = network, phi.dtype, phi.device.type, x.shape[-4:], torch.get_num_threads()
        if key not in self._plans:
            covered = covers(network, phi)
            self._plans[key] = Plan(self.library, network.module, x) if covered else None
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


def covers(network: Network, phi: Tensor) -> bool:
    """Tell whether step.cpp computes this network."""
    module = network.module
    return (
        type(module) is Conv4
        and not module.conv_bias
        and module.filters % build_library().lanes() == 0
        and phi.device.type == "cpu"
        and phi.dtype == torch.float32
    )


class Plan:
    """Hold a network's plan for mini-batches of one size, and the space to work in."""

    def __init__(self, library: ctypes.CDLL, module: nn.Module, x: Tensor) -> None:
        assert isinstance(module, Conv4)
        self.library, self.ways, self.n = library, module.head.out_features, x.shape[-4]
        stride, window = (1, 2) if module.downsample == "pool" else (2, 1)
        self.pointer = library.make_plan(
            self.n, x.shape[-3], x.shape[-1], module.filters, 4, stride, window, self.ways, EPSILON,
            torch.get_num_threads(),
        )  # fmt: skip

    def __del__(self) -> None:
        self.library.drop_plan(self.pointer)

    def step(
        self, loss: Any, optimizer: Any, phi: Tensor, state: Any, x: Tensor, y: Tensor
    ) -> Step:
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
        many = isinstance(loss, OverTasks)
        is_sum = (loss.loss if many else loss).reduction == "sum"
        taken = self.library.take_step(
            self.pointer, byref(settings), byref(CTensors(*(tensor.data_ptr() for tensor in tensors))),
            losses.numel(), float(t), 1.0 if is_sum else 1 / self.n,
        )  # fmt: skip
        assert taken, "labels are those of a way"
        return Step(next_phi, state, losses.sum() if many else losses)

    def predict(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the outputs, (tasks, n, ways), of many tasks' networks."""
        phi, x = phi.contiguous(), x.contiguous()
        outputs = phi.new_empty(len(x), self.n, self.ways)
        self.library.predict(self.pointer, x.data_ptr(), phi.data_ptr(), outputs.data_ptr(), len(x))
        return outputs


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
    library.predict.restype = None
    library.predict.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p, c_int]
    library.take_step.restype = c_bool
    library.take_step.argtypes = [
        c_void_p, POINTER(COptimizer), POINTER(CTensors), c_int, c_double, c_float
    ]  # fmt: skip
    return library
