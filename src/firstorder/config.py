"""The door: configs are typed by the signatures they fill, checked, and go no further."""

import inspect
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, make_dataclass
from functools import cache, partial, wraps
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_args, get_origin, get_type_hints

import hydra
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.utils import get_class, instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from torch import nn

import firstorder.algo
import firstorder.data
import firstorder.model
from firstorder.algo import MetaAlgorithm
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.source import TaskSource
from firstorder.evaluation import EvaluationSettings
from firstorder.learner import MetaLearner
from firstorder.sentences import nearest

CONTAINERS: dict[Any, Callable[..., Any]] = {
    Sequence: list,
    list: list,
    tuple: list,
    dict: dict,
    Mapping: dict,
}

CONF = Path(__file__).parents[2] / "conf"
SHOW_TRACE = os.environ.get("HYDRA_FULL_ERROR") == "1"
MISTAKES = (ValueError, HydraException, OmegaConfBaseException, MisconfigurationException)


@dataclass
class TrainerConfig:
    """Say how long and on what a run trains.

    Attributes:
        max_steps: N, outer iterations.
        accelerator, devices, num_nodes, strategy, precision: as Lightning's Trainer takes them.
        threads: CPU threads of a process; torch's choice where None.
        log_every: outer iterations between two lines of metrics.
        checkpoint_every: outer iterations between two checkpoints.
        progress: show a progress bar.
        compile: "always" or "never" compile the inner step; "auto" does for a run that is long enough.
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


@dataclass
class DataConfig:
    """Say what tasks look like and where they come from."""

    source: Any = "???"
    ways: int = 5
    shots: int = 5
    train_shots: int = 10
    root: str = "data"
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
    typed = OmegaConf.merge(OmegaConf.structured(schema(get_class(node["_target_"]))), node)
    try:
        return instantiate(typed, *arguments, _convert_="all")
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
        eval_inner_lr=evaluation.inner_lr,
        parallel_evaluation=evaluation.parallel,
        log_every=cfg.trainer.log_every,
        config=config,
    )
    return learner, datamodule


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Resolve a config into plain dicts, lists and values."""
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def run_folder(cfg: DictConfig) -> Path:
    """Return this run's folder, the resolved config written into it."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    return folder


def as_trained(cfg: DictConfig, trained: dict[str, Any]) -> DictConfig:
    """Return the config of a training run with the settings of `cfg` that are not null in it."""

    def given(node: dict[str, Any]) -> dict[str, Any]:
        nested = {k: given(v) if isinstance(v, dict) else v for k, v in node.items()}
        return {key: value for key, value in nested.items() if value is not None}

    merged = OmegaConf.merge(trained, given(plain(cfg)))
    merged.logger = cfg.logger
    if merged.logger.wandb:
        merged.logger.wandb.group = (trained["logger"]["wandb"] or {}).get("group")
    if cfg.data.root is not None and "root" in merged.data.source:
        merged.data.source.root = cfg.data.root
    return merged  # type: ignore[return-value]


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU, weights and plain values only.

    Raises:
        ValueError: there is none at the path, or it was not written by this project.
    """
    if not Path(path).is_file():
        raise ValueError(f"ckpt_path={path} is not a file: name the last.ckpt of a run folder")
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found["config"]["algo"]["_target_"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise ValueError(
            f"ckpt_path={path} is not a checkpoint of firstorder, or is cut off"
        ) from error
    return found


def check_resumable(path: str, config: dict[str, Any]) -> None:
    """Check that a run can go on from a checkpoint.

    Raises:
        ValueError: it was written by another algorithm or for another network.
    """
    then = read_checkpoint(path)["config"]
    for key, what in ("algo._target_", "algorithm"), ("model", "network"), ("seed", "seed"):
        before, now = (OmegaConf.select(OmegaConf.create(c), key) for c in (then, config))
        if before != now:
            raise ValueError(
                f"ckpt_path={path} was written with another {what}: {key}={before}, and this run has"
                f" {now}; resume with the settings of its config.yaml"
            )


def entry(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make a function of a config a command, whose user's mistakes end in one sentence.

    HYDRA_FULL_ERROR=1 in the environment shows the stack trace instead.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @wraps(main)
        def job(cfg: DictConfig) -> None:
            with answered():
                main(cfg)

        def command() -> None:
            register()
            with answered():
                os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to here
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
                    job
                )()

        return command

    return decorate


@contextmanager
def answered() -> Iterator[None]:
    """Turn a mistake of the user into one sentence and a non-zero exit."""
    try:
        yield
    except MISTAKES as error:
        if SHOW_TRACE:
            raise
        sys.exit(f"error: {sentence(error)}")


def sentence(error: BaseException) -> str:
    """Say what is wrong and what would be right, in one line."""
    cause: Any = error
    while cause.__cause__ is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        parent, _, name = str(cause.full_key).rpartition(".")
        known = [key for key in (cause.parent_node or {}) if key != "_target_"]
        return f"there is no setting {cause.full_key}{nearest(name, known, parent)}"
    if isinstance(cause, MissingMandatoryValue):
        return f"{cause.full_key} must be given: add {cause.full_key}=... to the command"
    if isinstance(cause, MissingConfigException) and cause.options is not None:
        group, _, name = str(cause.missing_cfg_file).rpartition("/")
        return f"{group}={name} is not known{nearest(name, cause.options)}"
    if isinstance(cause, OverrideParseException):
        return f"the override {cause.override} cannot be read: write key=value"
    text = " ".join(str(cause).split("full_key:")[0].split())
    return f"{cause.full_key}: {text}" if getattr(cause, "full_key", None) else text
