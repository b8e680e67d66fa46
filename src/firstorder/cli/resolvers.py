"""What configs may compute, such as `${scaled:100000}` and `${source:channels,1}`."""

import hashlib
import re

from omegaconf import DictConfig, OmegaConf

from firstorder.cli.assembly import build
from firstorder.cli.launch import started
from firstorder.cli.wandb_names import wandb_group, wandb_name
from firstorder.results.neutral import INERT
from firstorder.run.shapes import measure

LONGEST = 120  # characters of a folder's name
# What a folder isn't named by: what stands in the name otherwise, and what changes no result.
NOT_IN_NAMES = [
    "seed", "algo", "data", "experiment", "sweep", "objective", "logger", "logger.wandb.project",
    "trainer.accelerator", "hydra.run.dir", *INERT,
]  # fmt: skip


def scaled(full: int, floor: int = 1, *, _root_: DictConfig) -> int:
    """Return an experiment's number at the run's `scale`, at least `floor` and at most the full one."""
    return min(full, max(floor, round(full * _root_.scale)))


def from_source(what: str, default: int, *, _root_: DictConfig) -> int:
    """Return a size that a network takes from the source of tasks; see `measure`."""
    return measure(build(_root_, "data.source"), what, _root_.data.ways, default)


def run_name(resume: str, overrides: str, seed: int, otherwise: str) -> str:
    """Return the name of a run's folder: what it is under resume=auto, else a time or a number."""
    if resume != "auto":
        return str(otherwise)
    name = re.sub(r"[^\w.,=+-]+", "-", f"{overrides},seed={seed}".strip(","))
    if len(name) > LONGEST:
        name = f"{name[:LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def run_group(experiment: str | None, algo: str, data: str) -> str:
    """Return the name of the folder of runs like this: the experiment, or algorithm and data."""
    return f"{algo}_{data}" if experiment in (None, "null", "None") else str(experiment)


def multiply(one: int, other: int) -> int:
    """Return the product."""
    return one * other


OmegaConf.register_new_resolver("source", from_source, replace=True)
OmegaConf.register_new_resolver("started", started, replace=True)
OmegaConf.register_new_resolver("scaled", scaled, replace=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("run_group", run_group, replace=True)
OmegaConf.register_new_resolver("wandb_group", wandb_group, replace=True)
OmegaConf.register_new_resolver("wandb_name", wandb_name, replace=True)
OmegaConf.register_new_resolver("multiply", multiply, replace=True)
OmegaConf.register_new_resolver("not_in_names", lambda: NOT_IN_NAMES, replace=True)
