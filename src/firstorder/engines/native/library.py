"""Build step.cpp, and call it: sizes and addresses in, numbers out."""

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
from collections.abc import Sequence
from ctypes import POINTER, byref, c_bool, c_double, c_float, c_int, c_void_p
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._inductor.cpp_builder import get_cpp_compiler

from firstorder.engines.build import build_once, processor
from firstorder.folders import cache_root
from firstorder.inner_loop import Batch, Step
from firstorder.inner_optimizer import SGD, Adam, AdamState, InnerOptimizer
from firstorder.messages import one_of
from firstorder.model import Conv4
from firstorder.model.conv4 import EPSILON
from firstorder.task.loss import SumOverTasks

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent
FLAGS = ["-O3", "-fno-math-errno", "-fno-trapping-math", "-std=c++17", "-shared", "-fPIC"]
IS_ARM = platform.machine() in ("aarch64", "arm64")
# FIRSTORDER_NATIVE_ISA: what the compiler is told, and what the processor has to list.
ISAS: dict[str, tuple[list[str], list[str]]] = {
    "native": (["-mcpu=native" if IS_ARM else "-march=native"], []),
    "avx512": (
        ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
        ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"],
    ),
    "avx2": (["-mavx2", "-mfma"], ["avx2", "fma"]),
    "sse": ([], ["sse2"]),
    "neon": ([], ["asimd"]),
}


class CVectors(ctypes.Structure):
    """Mirror `Vectors` of step.cpp."""

    _fields_ = [(name, c_void_p) for name in ("phi", "m", "v")]

    @classmethod
    def of(cls, *tensors: Tensor) -> Self:
        """Return where three tensors' numbers lie."""
        return cls(*(tensor.data_ptr() for tensor in tensors))


class CTensors(ctypes.Structure):
    """Mirror `Tensors` of step.cpp."""

    _fields_ = [
        ("x", c_void_p), ("y", c_void_p), ("old", CVectors), ("new", CVectors), ("losses", c_void_p)
    ]  # fmt: skip


class COptimizer(ctypes.Structure):
    """Mirror `Optimizer` of step.cpp."""

    _fields_ = [("adam", c_int), *((name, c_float) for name in ("lr", "beta1", "beta2", "eps"))]

    @classmethod
    def of(cls, optimizer: InnerOptimizer) -> Self:
        """Return the settings of SGD or Adam."""
        if isinstance(optimizer, Adam):
            return cls(1, optimizer.lr, optimizer.beta1, optimizer.beta2, optimizer.eps)
        assert isinstance(optimizer, SGD)
        return cls(0, optimizer.lr)


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


def addresses(tensors: Sequence[Tensor]) -> "ctypes.Array[c_void_p]":
    """Return where the tensors' numbers lie."""
    return (c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def flags() -> list[str]:
    """Return the compiler's flags for the instructions that FIRSTORDER_NATIVE_ISA names.

    FIRSTORDER_NATIVE_FLAGS in the environment adds more.

    Raises:
        ValueError: there are no such instructions, here or at all.
    """
    isa = os.environ.get("FIRSTORDER_NATIVE_ISA") or "native"
    one_of("FIRSTORDER_NATIVE_ISA", isa, ISAS)
    chosen, needed = ISAS[isa]
    listed = processor().split()
    if missing := [name for name in needed if name not in listed]:
        raise ValueError(f"FIRSTORDER_NATIVE_ISA={isa} needs a processor with {missing[0]}")
    return [*FLAGS, *chosen, *os.environ.get("FIRSTORDER_NATIVE_FLAGS", "").split()]


def build(compiler: str, options: list[str], path: Path) -> None:
    """Compile step.cpp into a library at the path; of one thread where there is no OpenMP."""
    command = [compiler, *options, "-o", str(path), str(SOURCES / "step.cpp")]
    built = subprocess.run([*command, "-fopenmp"], capture_output=True, text=True, check=False)
    if built.returncode:
        alone = subprocess.run(command, capture_output=True, text=True, check=False)
        if alone.returncode:
            reason = (built.stderr.strip().splitlines() or ["no reason given"])[0]
            raise ValueError(
                f"the inner loop could not be built: {reason} (trainer.compile=never does without)"
            )
        logger.warning("%s has no OpenMP, so the inner loop runs on one thread", compiler)
    ctypes.CDLL(str(path))  # a compiler may fail without saying so


@cache
def build_library() -> ctypes.CDLL:
    """Build the library, or load what was built on such a processor before.

    Raises:
        ValueError: the compiler refuses, or there is nowhere to keep what it makes.
    """
    compiler, options = get_cpp_compiler(), flags()
    texts = [path.read_text() for path in sorted(SOURCES.glob("*.[hc]*"))]
    parts = repr([texts, options, compiler, processor()])
    digest = hashlib.sha256(parts.encode()).hexdigest()[:16]
    doing = "building the inner loop for this processor, once"
    try:
        path = build_once(f"conv4-{digest}.so", doing, partial(build, compiler, options))
    except OSError as error:
        where = cache_root() / "compiled"
        raise ValueError(f"the inner loop could not be built in {where}: {error}") from None
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ValueError(f"{path} is damaged, delete it: {error}") from None
    library.make_plan.restype = c_void_p
    library.make_plan.argtypes = [*[c_int] * 8, c_float, c_float, c_int]
    library.plan_size.argtypes = [c_void_p]
    library.drop_plan.argtypes = [c_void_p]
    library.drop_plan.restype = None
    library.predict.restype = None
    library.predict.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p, c_int]
    library.update_weights.restype = library.update_vjp.restype = None
    library.update_weights.argtypes = [
        POINTER(COptimizer), CVectors, CVectors, c_void_p, c_double, c_int
    ]  # fmt: skip
    library.update_vjp.argtypes = [POINTER(COptimizer), *[CVectors] * 3, c_double, c_int]
    library.differentiate.restype = c_bool
    library.differentiate.argtypes = [*[c_void_p] * 7, c_int, c_float]
    library.take_steps.restype = c_bool
    library.take_steps.argtypes = [
        c_void_p, POINTER(COptimizer), POINTER(CTensors), c_int, c_int, c_double, c_float
    ]  # fmt: skip
    sizes = library.optimizer_size(), library.tensors_size()
    if sizes != (ctypes.sizeof(COptimizer), ctypes.sizeof(CTensors)):
        raise RuntimeError(f"step.cpp's structures take {sizes} bytes, not those of library.py")
    return library
