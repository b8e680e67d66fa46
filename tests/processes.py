"""Run scripts in new processes that have torch loaded: half of a short run is its import."""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

LOADED = [
    "torch",
    "lightning",
    "hydra",
    "pandas",
    "pydantic",
]  # nothing that reads settings at import
SECONDS = 150  # that a script may take


def context() -> ForkServerContext:
    """Return what starts processes as copies of one that has loaded the libraries."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(LOADED)
    return found


def run_script(
    path: Path, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script as `python path ...` would, and return its exit status and what it wrote.

    Raises:
        subprocess.TimeoutExpired: it took too long, and was killed.
    """
    with TemporaryDirectory() as folder:
        outputs = [Path(folder, name) for name in ("stdout", "stderr")]
        # By its file, for another package than this one may be named "tests" as well.
        process = context().Process(
            target=runpy.run_path,
            args=(
                __file__,
                {"started": (str(path), [*arguments], str(cwd), {**environment}, outputs)},
            ),
            kwargs={"run_name": "become"},
        )
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([str(path), *arguments], SECONDS)
        assert process.exitcode is not None
        stdout, stderr = (output.read_text() for output in outputs)
        return subprocess.CompletedProcess(list(arguments), process.exitcode, stdout, stderr)


def become(
    path: str, arguments: list[str], cwd: str, environment: dict[str, str], outputs: list[Path]
) -> None:
    """Turn this process into that of a script."""
    for output, descriptor in zip(outputs, (1, 2), strict=True):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [path, *arguments]
    root = str(Path(__file__).resolve().parents[1])
    named = environment.get("PYTHONPATH", "").split(os.pathsep)
    others = [entry for entry in sys.path if entry not in ("", root)]
    sys.path[:] = [str(Path(path).parent), *filter(None, named), *others]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out


if __name__ == "become":
    become(*globals()["started"])
