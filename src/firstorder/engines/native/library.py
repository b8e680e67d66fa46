"""Build step.cpp for this processor, and load it."""

import ctypes
import hashlib
import logging
import os
import platform
import subprocess
from ctypes import POINTER, c_bool, c_double, c_float, c_int, c_void_p
from functools import cache, partial
from pathlib import Path

from torch._inductor.cpp_builder import get_cpp_compiler

from firstorder.engines.build import build_once, processor
from firstorder.engines.native.structures import COptimizer, CTensors, CVectors
from firstorder.folders import cache_root
from firstorder.messages import one_of

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
        raise RuntimeError(f"step.cpp's structures take {sizes} bytes, not those of structures.py")
    return library
