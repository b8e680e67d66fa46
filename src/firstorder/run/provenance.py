"""What a number may depend on: the code, its versions, the machine. No names of hosts or people."""

import os
import platform
import re
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

SOURCE = Path(__file__).parents[2]
CODE = ["src", "conf", "pyproject.toml", "constraints.txt"]  # what a run is made of
PACKAGES = ("firstorder", "torch", "lightning", "hydra-core", "numpy")
INSTRUCTIONS = r"avx|avx2|fma|f16c|avx512\w+|avx_vnni|amx\w+|neon|asimd|sve2?|bf16"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def git_state(source: Path = SOURCE) -> tuple[str | None, bool | None]:
    """Return the commit of the code in `source` and whether it was changed since; None where unknown.

    It is unknown outside a repository and where the code is installed but not part of one.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "firstorder/__init__.py")
        root = git("rev-parse", "--show-toplevel")
        changed = git("-C", root, "status", "--porcelain", "--", *CODE)
        return git("rev-parse", "HEAD"), bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return None, None


def hardware() -> dict[str, Any]:
    """Return the machine's processor, memory in bytes and GPU, and how many threads torch uses."""
    name, instructions = processor()
    has_gpu = torch.cuda.is_available()
    return {
        "processor": name,
        "instructions": instructions,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": torch.cuda.get_device_name() if has_gpu else None,
        "gpus": torch.cuda.device_count(),
    }


def processor() -> tuple[str, list[str]]:
    """Return the processor's model name and those of its instruction sets that make sums faster."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine(), []
    lines = dict(re.findall(r"^([^\t:]+)\s*: (.*)$", info.read_text(), re.MULTILINE))
    flags = str(lines.get("flags", lines.get("Features", ""))).split()
    name = lines.get("model name") or platform.machine()
    return name, sorted(flag for flag in flags if re.fullmatch(INSTRUCTIONS, flag))


def forget_peak_memory() -> None:
    """Start counting anew: the jobs of a sweep may share a process."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the peak is then that of the whole process
        return


def peak_memory() -> dict[str, int | None]:
    """Return the most memory that this process has held, in bytes, and what torch held on its GPU."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the process that started this one
        kilobytes = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        assert kilobytes
        peak = int(kilobytes[1]) * 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peak *= 1 if sys.platform == "darwin" else 1024
    on_gpu = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    return {"peak_memory": peak, "peak_gpu_memory": on_gpu}
