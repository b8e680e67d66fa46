"""Machine code built once on a machine and kept under the cache root, for whoever asks next."""

import logging
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InvalidCxxCompiler

from firstorder.folders import cache_root
from firstorder.messages import one_of

logger = logging.getLogger(__name__)


def build_once(name: str, doing: str, make: Callable[[Path], None]) -> Path:
    """Return the path of something compiled, made by the first process that wants it and then kept."""
    path = cache_root() / "compiled" / name
    if not path.exists():  # a cache that can only be read will do
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                logger.info("%s ...", doing)
                start, unfinished = time.perf_counter(), path.with_name(f"{os.getpid()}-{name}")
                make(unfinished)
                unfinished.replace(path)
                logger.info("... in %.0f s; kept as %s", time.perf_counter() - start, path)
    return path


def processor() -> str:
    """Name the processor's instructions: a library is compiled for the machine it runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = [line for line in lines if line.startswith(("flags", "Features"))]
    return flags[0] if flags else f"{platform.machine()} {platform.processor()}"


def has_compiler(setting: str) -> bool:
    """Tell whether to compile anything at all under trainer.compile=setting.

    Raises:
        ValueError: "always" on a machine without a C++ compiler.
    """
    one_of("trainer.compile", setting, ["auto", "always", "never"])
    if setting == "never":
        return False
    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        remedy = "install g++ or clang++, or set trainer.compile=never"
        if setting == "always":
            raise ValueError(f"trainer.compile=always needs a C++ compiler: {remedy}") from None
        logger.warning("no C++ compiler, so the inner loop runs uncompiled, slower: %s", remedy)
        return False
    return True
