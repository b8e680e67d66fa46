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
from collections.abc import Callable, Iterable, Iterator, Sequence
from ctypes import POINTER, byref, c_bool, c_double, c_float, c_int, c_void_p
from functools import cache
from inspect import unwrap
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor, nn
from torch._inductor.cpp_builder import get_cpp_compiler

from firstorder.compilation import processor
from firstorder.data.cache import cache_root
from firstorder.evaluation import predict
from firstorder.inner_loop import SGD, Adam, AdamState, Batch, Step, adapt, step
from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.network import Network
from firstorder.objective import OverTasks, TaskLoss, cross_entropy

logger = logging.getLogger(__name__)

AT_ONCE = 10  # steps of one task, while its weights lie in the caches
SOURCES = Path(__file__).parent
FLAGS = ["-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp"]
FLAGS += ["-std=c++17", "-shared", "-fPIC"]


class CTensors(ctypes.Structure):
    """Mirror `Tensors` of step.cpp."""

    _fields_ = [
        (name, c_void_p) for name in ("x", "y", "phi", "m", "v", "to_phi", "to_m", "to_v", "losses")
    ]


class COptimizer(ctypes.Structure):
    """Mirror `Optimizer` of step.cpp."""

    _fields_ = [("adam", c_int), *((name, c_float) for name in ("lr", "beta1", "beta2", "eps"))]


class NativeSteps:
    """Take the steps and make the predictions that step.cpp covers; an engine, see `compilation.use`."""

    def __init__(self) -> None:
        self.library = build_library()
        self._plans: dict[Any, Plan] = {}

    def run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Return what `step`, `adapt` or `predict` returns, or NotImplemented where it is not covered."""
        if function is unwrap(predict):
            network, phi, x = args
            return (
                self._plan(network, phi, x).predict(phi, x)
                if covers(network, phi)
                else NotImplemented
            )
        if function not in (unwrap(step), unwrap(adapt)):
            return NotImplemented
        loss, optimizer, phi, state, given = args
        network = network_of(loss, optimizer)
        if network is None or not covers(network, phi):
            return NotImplemented
        if function is unwrap(step):
            return self._plan(network, phi, given[0]).steps(loss, optimizer, phi, state, [given])
        for batches in pieces(given):
            plan = self._plan(network, phi, batches[0][0])
            phi, state, _ = plan.steps(loss, optimizer, phi, state, batches)
        return phi, state

    def _plan(self, network: Network, phi: Tensor, x: Tensor) -> "Plan":
        """Return the plan for mini-batches like x."""
        key = network, x.shape[-4:], torch.get_num_threads()
        if key not in self._plans:
            self._plans[key] = Plan(self.library, network.module, x)
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
        and not torch.is_autocast_enabled("cpu")
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

    def steps(
        self, loss: Any, optimizer: Any, phi: Tensor, state: Any, batches: Sequence[Batch]
    ) -> Step:
        """Take steps on one task, phi (d,), or on many, phi (tasks, d); the loss is the last one."""
        xs, ys = ([tensor.contiguous() for tensor in given] for given in zip(*batches, strict=True))
        assert all(x.shape[-4] == self.n for x in xs), "mini-batches are of one size"
        phi = phi.contiguous()
        found, losses = torch.empty_like(phi), phi.new_empty(phi.shape[:-1])
        if isinstance(optimizer, Adam):
            settings = COptimizer(1, optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.eps)
            m, v, t = state[0].contiguous(), state[1].contiguous(), float(state[2])
            state = AdamState(torch.empty_like(m), torch.empty_like(v), state[2] + len(xs))
            vectors = (phi, m, v, found, state.m, state.v, losses)
        else:
            settings, t = COptimizer(0, optimizer.lr), 0.0
            vectors = (phi, phi, phi, found, phi, phi, losses)  # no moments: none are touched
        many = isinstance(loss, OverTasks)
        is_sum = (loss.loss if many else loss).reduction == "sum"
        x_at, y_at = addresses(xs), addresses(ys)
        places = ctypes.addressof(x_at), ctypes.addressof(y_at)
        tensors = CTensors(*places, *(vector.data_ptr() for vector in vectors))
        taken = self.library.take_steps(
            self.pointer, byref(settings), byref(tensors), losses.numel(), len(xs), t + 1,
            1.0 if is_sum else 1 / self.n,
        )  # fmt: skip
        assert taken, "labels are those of a way"
        return Step(found, state, losses.sum() if many else losses)

    def predict(self, phi: Tensor, x: Tensor) -> Tensor:
        """Return the outputs, (tasks, n, ways), of many tasks' networks."""
        phi, x = phi.contiguous(), x.contiguous()
        outputs = phi.new_empty(len(x), self.n, self.ways)
        self.library.predict(self.pointer, x.data_ptr(), phi.data_ptr(), outputs.data_ptr(), len(x))
        return outputs


def pieces(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Cut a sequence of mini-batches into pieces of `AT_ONCE`."""
    rest = iter(batches)
    while piece := list(islice(rest, AT_ONCE)):
        yield piece


def addresses(tensors: Sequence[Tensor]) -> "ctypes.Array[c_void_p]":
    """Return where the tensors' numbers lie."""
    return (c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


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
    library.take_steps.restype = c_bool
    library.take_steps.argtypes = [
        c_void_p, POINTER(COptimizer), POINTER(CTensors), c_int, c_int, c_double, c_float
    ]  # fmt: skip
    return library
