"""The schemas of configs: dataclasses made from the signatures that the configs fill.

Hydra merges them under the YAML files, so that every setting has its default, and a typo or a wrong
type fails while a config is composed. What a type alone can't say (bounds, choices) is checked by
`firstorder.cli.validation`, from the same signatures.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from torch import nn

import firstorder.algo
import firstorder.data
import firstorder.model
from firstorder.algo import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.images.resident import OnDevice
from firstorder.run.trainer import HardwareConfig, TrainerConfig
from firstorder.settings import Count, Filename, ModulePath, Seed, declarations

MISSING = "???"


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Say what tasks look like and where they come from.

    Attributes:
        source: the task source.
        ways: N, classes a task.
        shots: K, support images a class at evaluation.
        train_shots: images a class in training, the tail included.
        root: folder where archives lie.
        mirror: a URL or a folder to fetch archives from, instead of the public places.
        workers: processes that draw episodes ahead; 0 draws them in the training process.
        on_device: keep all images in the memory of the device; "auto" does on a GPU where they fit.
    """

    source: Any
    ways: Count = 5
    shots: Count = 5
    train_shots: Count = 10
    root: Filename = "data"
    mirror: Filename | None = None
    workers: Annotated[int, Ge(0), Le(1024)] = 0
    on_device: OnDevice = "auto"


@dataclass(frozen=True, kw_only=True)
class TopConfig:
    """What stands at the top of a config; not every command has all of it.

    Attributes:
        seed: of the weights and of every episode.
        ckpt_path: a checkpoint to go on from, or to evaluate.
        objective: the score that a run returns, for a sweeper to maximise: that of the last
            validation ("val") or of the final test ("test"); nothing where None. It is the
            transductive accuracy, or the mean squared error with a minus sign.
        resume: "auto" names the folder by the settings, goes on where a run of these stopped, and does
            nothing where it has finished; "never" starts anew in a folder named by the time.
        allow_changes: go on from a checkpoint although some settings of its training were others.
        scale: the fraction of a whole experiment that is run: iterations, and tasks with a floor.
        label: the experiment's place in the paper.
        plugins: modules of one's own whose classes configs may name; they count on the command line only.
        split: the split to show.
        episodes: how many to show.
        query_shots: query images a class to show.
    """

    seed: Seed = 0
    ckpt_path: Filename | None = None
    objective: Literal["val", "test"] | None = "val"
    resume: Literal["auto", "never"] = "never"
    allow_changes: bool = False
    scale: Annotated[float, Gt(0), Le(1)] = 1.0
    label: dict[str, Any] | None = None
    plugins: list[ModulePath] = field(default_factory=list)
    split: Literal["train", "val", "test"] = "test"
    episodes: Annotated[int, Ge(1), Le(1000)] = 4
    query_shots: Count = 5
    algo: dict[str, Any]
    data: dict[str, Any]
    model: dict[str, Any]
    eval: dict[str, Any]
    trainer: dict[str, Any]
    logger: dict[str, Any]
    analysis: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LoggerConfig:
    """Where metrics go besides metrics.csv; `wandb` is None where it is turned off."""

    wandb: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    """What Weights & Biases calls a run, and where it keeps it; further settings go to `wandb.init`.

    Attributes:
        project: where runs go.
        entity: the user or team whose project it is; the account's own where None.
        group: what is averaged over; see docs/wandb.md for what it is by default.
        name: what the run itself is called.
    """

    project: Filename = "firstorder"
    entity: Filename | None = None
    group: str | None = None
    name: str | None = None


# What a config holds at these keys, whether or not a `_target_` says so.
NODES: dict[str, type] = {
    "data": DataConfig,
    "trainer": TrainerConfig,
    "eval": EvaluationSettings,
    "logger": LoggerConfig,
    "logger.wandb": WandbConfig,
}


def schema(target: type) -> type:
    """Make a dataclass of a class's arguments and their defaults.

    That of an algorithm leaves out the defaults of the settings that all algorithms share: they are
    composed before the data's published values, which this schema must not set back.
    """
    shared = MetaAlgorithm if issubclass(target, MetaAlgorithm) else None
    return make_schema(target, None if target is shared else shared)


@cache
def make_schema(target: type, base: type | None) -> type:
    """Make the dataclass; it extends that of `base`, whose unchanged defaults it leaves missing."""
    known = inspect.signature(base).parameters if base else {}
    is_built = target not in (DataConfig, TrainerConfig)
    made: list[tuple[str, Any, Any]] = [("_target_", str, MISSING)] if is_built else []
    for name, declared in declarations(target).items():
        parameter = inspect.signature(target).parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        is_shared = name in known and known[name].default == parameter.default
        kind, default = plain_type(declared), MISSING if is_shared else parameter.default
        made.append((name, kind, plain_default(kind, default)))
    bases = (schema(base),) if base else ()
    return make_dataclass(f"{target.__name__}Config", made, bases=bases)


def store(group: str, name: str, node: type) -> None:
    """Put a schema into Hydra's store; a mapping of any names, such as outer_options, takes any."""
    stored = OmegaConf.structured(node)
    for each in fields(node):
        if get_origin(each.type) is dict and not OmegaConf.is_missing(stored, each.name):
            OmegaConf.set_struct(stored[each.name], False)
    ConfigStore.instance().store(group=group, name=name, node=stored)


@cache
def changes(target: type, without: Collection[str] = ()) -> type:
    """Make a schema in which everything is null: what an evaluation may change of a trained run."""
    names = [name for name in declarations(target) if name not in without]
    made = [(name, plain_type(declarations(target)[name] | None), None) for name in names]
    return make_dataclass(f"{target.__name__}Changes", made)


def plain_type(declared: Any) -> Any:
    """Return a type as OmegaConf knows it: without bounds, choices as the type of their values."""
    origin, inner = get_origin(declared), get_args(declared)
    if origin is Annotated:
        return plain_type(inner[0])
    if origin is Literal:
        kinds = {type(choice) for choice in inner}
        return kinds.pop() if len(kinds) == 1 else Any
    if origin in (Union, UnionType):
        kinds = {plain_type(kind) for kind in inner}
        return Union[tuple(kinds)]  # noqa: UP007 (built from a set)
    if origin in (Sequence, list, tuple):
        return list[plain_type(inner[0])]  # type: ignore[misc]
    if origin in (Mapping, dict):
        return dict[tuple(map(plain_type, inner))]  # type: ignore[misc]
    return declared


def plain_default(kind: Any, default: Any) -> Any:
    """Return a parameter's default as a dataclass takes it, or `MISSING` where it has none."""
    if default is inspect.Parameter.empty or default is MISSING:
        return MISSING
    if get_origin(kind) in (
        list,
        dict,
    ):  # the signature of a dataclass hides what its factory makes
        value = default if isinstance(default, Sequence | Mapping) else ()
        return field(default_factory=partial(get_origin(kind), value))
    return default


def register() -> None:
    """Put the schemas into Hydra's store: /schema/algo/Reptile for the class Reptile, and so on."""
    register_package(firstorder.algo, lambda cls: issubclass(cls, MetaAlgorithm))
    register_package(firstorder.data, lambda cls: hasattr(cls, "draw"))
    register_package(firstorder.model, lambda cls: issubclass(cls, nn.Module))
    store("schema/algo", "MetaAlgorithm", schema(MetaAlgorithm))
    store("schema", "data", schema(DataConfig))
    store("schema", "trainer", schema(TrainerConfig))
    store("schema", "eval", schema(EvaluationSettings))
    unchanging = frozenset({"source", "ways", "train_shots", "mirror"})
    store("schema/changes", "data", changes(DataConfig, unchanging))
    store("schema/changes", "trainer", changes(HardwareConfig))
    monitoring = frozenset({"monitor_tasks", "monitor_every"})
    store("schema/changes", "eval", changes(EvaluationSettings, monitoring))
    inner_loop = {"inner_steps", "inner_batch_size", "inner_lr"}
    others = frozenset(declarations(EvaluationSettings).keys() - inner_loop)
    store("schema/changes", "inner_loop", changes(EvaluationSettings, others))


def register_package(package: ModuleType, is_wanted: Callable[[type], bool]) -> None:
    """Register the classes that the modules of a package define."""
    group = "schema/" + package.__name__.rsplit(".", 1)[-1]
    for module in iter_modules(package.__path__, package.__name__ + "."):
        members: list[Any] = inspect.getmembers(import_module(module.name), inspect.isclass)
        for name, cls in members:
            is_abstract = inspect.isabstract(cls) or getattr(cls, "_is_protocol", False)
            if cls.__module__ == module.name and is_wanted(cls) and not is_abstract:
                store(group, name, schema(cls))
