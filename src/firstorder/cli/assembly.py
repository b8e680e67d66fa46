"""The door: configs are typed by the signatures they fill, checked, and go no further."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    InstantiationException,
)
from hydra.types import RunMode
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

import firstorder.algo
import firstorder.data
import firstorder.model
from firstorder.algo import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.source import TaskSource
from firstorder.run.learner import MetaLearner

CONTAINERS: dict[Any, Callable[..., Any]] = {
    Sequence: list,
    list: list,
    tuple: list,
    dict: dict,
    Mapping: dict,
}


@dataclass
class TrainerConfig:
    """Say how long and on what a run trains.

    Attributes:
        max_steps: N, outer iterations.
        accelerator, devices, num_nodes, strategy: as Lightning's Trainer takes them.
        precision: "32-true", "64-true", or "bf16-mixed" for bfloat16 in products and convolutions.
        threads: CPU threads of a process; torch's choice where None.
        log_every: outer iterations between two lines of metrics.
        checkpoint_every: outer iterations between two checkpoints.
        progress: show a progress bar.
        compile: "always" or "never" run the inner loop in machine code; "auto" does where it pays.
        matmul: torch's precision of products of float32 on a GPU: "highest", or "high" for TF32, or
            "medium" for bfloat16.
    """

    max_steps: int = 1000
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    threads: int | None = None
    log_every: int = 50
    checkpoint_every: int = 1000
    progress: bool = True
    compile: str = "auto"
    matmul: str = "highest"


@dataclass
class DataConfig:
    """Say what tasks look like and where they come from.

    Attributes:
        source: the task source.
        ways: N, classes a task.
        shots: K, support images a class at evaluation.
        train_shots: images a class in training, the tail included.
        root: folder where archives lie.
        mirror: a URL or a folder to fetch archives from, before the public places.
        workers: processes that draw episodes ahead; 0 draws them in the training process.
    """

    source: Any = "???"
    ways: int = 5
    shots: int = 5
    train_shots: int = 10
    root: str = "data"
    mirror: str | None = None
    workers: int = 0


@cache
def schema(target: Any) -> type:
    """Make a dataclass of a class's typed keyword arguments: its signature is its schema."""
    hints = get_type_hints(target.__init__)
    fields: list[tuple[str, Any, Any]] = [("_target_", str, "???")]
    for name, parameter in inspect.signature(target).parameters.items():
        kind, default = hints.get(name, Any), parameter.default
        container = CONTAINERS.get(get_origin(kind) or kind)
        if container is list:
            kind = list[get_args(kind)[0]]  # type: ignore[misc]
        if default is inspect.Parameter.empty:
            default = "???"
        elif container:
            value = default if isinstance(default, tuple | list | dict) else ()
            default = field(default_factory=partial(container, value))
        fields.append((name, kind, default))
    return make_dataclass(f"{target.__name__}Config", fields)


def register() -> None:
    """Put the schemas into Hydra's store, so that a typo or a wrong type fails at composition.

    Every algorithm, data set and network in its package has one, `/schema/algo/Reptile` and so on.
    """
    store = ConfigStore.instance()
    for package, wanted in (
        (firstorder.algo, lambda found: issubclass(found, MetaAlgorithm)),
        (firstorder.data, lambda found: hasattr(found, "draw")),
        (firstorder.model, lambda found: issubclass(found, nn.Module)),
    ):
        group = "schema/" + package.__name__.rsplit(".", 1)[-1]
        for module in iter_modules(package.__path__, package.__name__ + "."):
            members: list[Any] = inspect.getmembers(import_module(module.name), inspect.isclass)
            for name, found in members:
                abstract = inspect.isabstract(found) or getattr(found, "_is_protocol", False)
                if found.__module__ == module.name and wanted(found) and not abstract:
                    store.store(group=group, name=name, node=schema(found))
    store.store(group="schema", name="data", node=DataConfig)
    store.store(group="schema", name="trainer", node=TrainerConfig)
    store.store(group="schema", name="eval", node=schema(EvaluationSettings))


def build(cfg: DictConfig, key: str, *arguments: Any) -> Any:
    """Instantiate the node at a key, checked against the signature of its own class.

    Raises:
        ValueError: a key or a type that the class does not take, or a mistake it finds itself.
    """
    node: Any = OmegaConf.to_container(OmegaConf.select(cfg, key), resolve=True)
    try:
        typed = OmegaConf.merge(OmegaConf.structured(schema(get_class(node["_target_"]))), node)
        return instantiate(typed, *arguments, _convert_="all")
    except OmegaConfBaseException as error:
        error.full_key = f"{key}.{error.full_key}"
        raise
    except InstantiationException as error:
        raise error.__cause__ or error from None


def assemble(cfg: DictConfig, config: dict[str, Any]) -> tuple[MetaLearner, EpisodeDataModule]:
    """Build the learner and the data of a run; `config` is what its checkpoints remember.

    Raises:
        ValueError: a setting is wrong by itself, or does not go with another.
    """
    algorithm: MetaAlgorithm = build(cfg, "algo")
    evaluation: EvaluationSettings = build(cfg, "eval")
    source: TaskSource = build(cfg, "data.source")
    ranks = cfg.trainer.devices * cfg.trainer.num_nodes
    if ranks > 1 and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise ValueError(
            f"trainer.devices={cfg.trainer.devices} cannot go with --multirun, where every process would"
            " run the whole sweep: give each job one device, and let a launcher run jobs side by side"
        )
    for key, value in {
        "algo.meta_batch_size": algorithm.meta_batch_size,
        "eval.tasks": evaluation.tasks,
        "eval.monitor_tasks": evaluation.monitor_tasks,
    }.items():
        if value % ranks:
            raise ValueError(f"{key}={value} cannot be shared equally by {ranks} devices")
    datamodule = EpisodeDataModule(
        source,
        algorithm,
        evaluation,
        seed=cfg.seed,
        ways=cfg.data.ways,
        shots=cfg.data.shots,
        train_shots=cfg.data.train_shots,
        outer_steps=cfg.trainer.max_steps,
        workers=cfg.data.workers,
    )
    learner = MetaLearner(
        algorithm,
        build(cfg, "model"),
        source.kind,
        outer_steps=cfg.trainer.max_steps,
        evaluation=evaluation,
        log_every=cfg.trainer.log_every,
        config=config,
    )
    return learner, datamodule


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolve a config into plain dicts, lists and values."""
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
