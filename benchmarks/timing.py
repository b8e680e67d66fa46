"""Time calls beside each other, and say on what machine."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from firstorder.engines.build import processor

Call = tuple[Callable[[], Any], int]  # what is timed, and how many steps or tasks a call does
KINDS = {"avx512f": "AVX-512", "avx2": "AVX2", "asimd": "NEON", "sse2": "SSE"}


def interleaved(calls: dict[str, Call], seconds: float) -> dict[str, list[float]]:
    """Time the calls in turns; return milliseconds a step or task: the best, and the quartiles.

    A busy machine disturbs all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()  # builds and warms up
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times[next(iter(calls))]) < 3:
        for name, (call, steps) in calls.items():
            if not times[name] or times[name][-1] * steps < 100:
                call()  # brings its data back into the caches
            begun = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - begun) / steps)
    return {
        name: np.quantile(taken, [0, 0.25, 0.5, 0.75]).tolist() for name, taken in times.items()
    }


def machine() -> dict[str, Any]:
    """Describe the processor: its name, the instructions that our own code is built for, its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    isa = os.environ.get("FIRSTORDER_NATIVE_ISA", "native")
    listed = processor().split() if isa == "native" else {"avx512": ["avx512f"]}.get(isa, [isa])
    kinds = [kind for flag, kind in KINDS.items() if flag in listed]
    return {
        "processor": names[0] if names else "unknown",
        "kind": kinds[0] if kinds else "other",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
    }
