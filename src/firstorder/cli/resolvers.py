"""What configs may compute, such as `${scaled:100000}` and `${source:channels,1}`."""

from omegaconf import DictConfig, OmegaConf

from firstorder.cli.assembly import build
from firstorder.cli.shapes import measure


def scaled(full: int, floor: int = 1, *, _root_: DictConfig) -> int:
    """Return an experiment's number at the run's `scale`, at least `floor` and at most the full one."""
    return min(full, max(floor, round(full * _root_.scale)))


def from_source(what: str, default: int, *, _root_: DictConfig) -> int:
    """Return a size that a network takes from the source of tasks; see `measure`."""
    return measure(build(_root_, "data.source"), what, _root_.data.ways, default)


def multiply(one: int, other: int) -> int:
    """Return the product."""
    return one * other


OmegaConf.register_new_resolver("source", from_source, replace=True)
OmegaConf.register_new_resolver("scaled", scaled, replace=True)
OmegaConf.register_new_resolver("multiply", multiply, replace=True)
