"""Check a whole config: every setting by itself, then those that depend on each other.

Nothing is fetched, written or computed before the config has passed.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from firstorder.cli.adapt import AdaptSettings
from firstorder.cli.launch import launch
from firstorder.cli.paper_settings import PaperSettings
from firstorder.cli.schema import NODES, TopConfig, WandbConfig
from firstorder.demo.settings import DemoSettings
from firstorder.messages import nearest
from firstorder.plugins import check_function, check_plugins
from firstorder.results.settings import ReportSettings
from firstorder.run.building import built_at, class_at
from firstorder.run.workspace import WorkspaceSettings
from firstorder.settings import FunctionPath, ModulePath, check, declarations, shown
from firstorder.task.base import TaskKind

# Keys at the top of a config.
TOP = {
    k: v
    for kind in (
        AdaptSettings,
        DemoSettings,
        PaperSettings,
        TopConfig,
        ReportSettings,
        WorkspaceSettings,
    )
    for k, v in declarations(kind).items()
}
OWN = {**declarations(AdaptSettings), **declarations(DemoSettings)}  # not as in training where null
FIRST = ("data", "algo", "trainer")  # a mistake in these is named before what follows from it


def validate(cfg: DictConfig) -> None:
    """Check a config.

    In the config of an evaluation, which has no algorithm of its own, what is null stays as it was in
    training.

    Raises:
        ValueError: a setting is not what its declaration allows, or does not go with another.
        OmegaConfBaseException: one is missing, or refers to what is not there.
    """
    is_partial, known = "ckpt_path" in cfg.keys() and "algo" not in cfg, TOP  # noqa: SIM118 (or ???)
    if is_partial and OmegaConf.select(cfg, "ckpt_path") is None:
        raise ValueError("ckpt_path must be given: add ckpt_path=... to the command")
    check("plugins", plain_value(cfg, "plugins") or [], list[ModulePath])
    check_plugins(cfg.get("plugins") or [])
    for key in sorted(map(str, cfg), key=lambda key: key not in FIRST):
        if key not in known:
            raise ValueError(f"there is no setting {key}{nearest(key, known.keys() & cfg.keys())}")
        may_be_null = is_partial and key not in OWN
        check_tree(key, plain_value(cfg, key), known[key], may_be_null)
    if "algo" in cfg:
        check_together(cfg)


def plain_value(cfg: DictConfig, key: str) -> Any:
    """Return the value at a key as plain dicts, lists and values, interpolations resolved."""
    value = OmegaConf.select(cfg, key, throw_on_missing=True)
    if not OmegaConf.is_config(value):
        return value
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)


def check_tree(key: str, value: Any, declared: Any, is_partial: bool = False) -> None:
    """Check a value by its declared type, and what it holds where it is a node of its own.

    Raises:
        ValueError: the first setting that is wrong, by its key.
    """
    if is_partial and value is None:
        return
    known = settings_of(key, value)
    if known is None:
        check(key, value, declared)
        if declared is FunctionPath:
            check_function(key, value)
        return
    for name, inner in value.items():
        if name not in known:
            raise ValueError(f"there is no setting {key}.{name}{nearest(name, known, key)}")
        check_tree(f"{key}.{name}", inner, known[name], is_partial)


def settings_of(key: str, value: Any) -> Mapping[str, Any] | None:
    """Return the declared types of the settings in a node; None where the value is not one.

    Raises:
        ValueError: it names no class that can be built, or leaves out what that needs.
    """
    built = built_at(key)
    if not isinstance(value, dict) or not value:
        if built:
            raise ValueError(f"{key}={shown(value)} is not {built[0]}: choose one by name")
        return None
    if "_target_" in value:
        target = class_at(key, value["_target_"])
        for name, parameter in inspect.signature(target).parameters.items():
            is_named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            if is_named and parameter.default is parameter.empty and name not in value:
                raise ValueError(f"{key}.{name} must be given: add {key}.{name}=...")
        return {"_target_": str, **declarations(target)}
    if key == "logger.wandb":  # what else it is given goes to wandb.init
        return {**dict.fromkeys(value, Any), **declarations(WandbConfig)}
    if key in NODES:
        return declarations(NODES[key])
    if built:
        raise ValueError(f"{key}._target_ must be given: it names the class of {built[0]}")
    if all(isinstance(inner, dict) and "_target_" in inner for inner in value.values()):
        return dict.fromkeys(value, Any)  # nodes by name, such as analysis.algorithms
    return None


def check_together(cfg: DictConfig, *, trains: bool = True) -> None:
    """Check the settings of a run that depend on each other; one that only evaluates has fewer.

    Raises:
        ValueError: some do not go together.
    """
    check_scale(cfg)
    check_ranks(cfg, trains)
    check_objective(cfg)
    check_shots(cfg)


def check_scale(cfg: DictConfig) -> None:
    """Check that there is an experiment to be scaled."""
    if cfg.get("scale", 1) != 1 and cfg.get("label") is None:  # older checkpoints have neither
        raise ValueError(
            f"scale={cfg.scale} shortens a published experiment and none is chosen: add experiment=...,"
            " or set trainer.max_steps"
        )


def check_ranks(cfg: DictConfig, trains: bool) -> None:
    """Check that tasks can be shared by the processes of a run."""
    devices, nodes = cfg.trainer.devices, cfg.trainer.num_nodes
    ranks = devices * nodes
    if launch.ranks not in (1, ranks):
        raise ValueError(
            f"torchrun or srun has started {launch.ranks} processes, and trainer.devices={devices} times"
            f" trainer.num_nodes={nodes} is {ranks}: set trainer.devices to the processes of one machine,"
            " and trainer.num_nodes to the machines"
        )
    if nodes > 1 and launch.ranks == 1:
        raise ValueError(
            f"trainer.num_nodes={nodes} needs torchrun or srun, which start a process for each device"
        )
    if ranks > 1 and run_mode() == RunMode.MULTIRUN:
        raise ValueError(
            f"trainer.devices={devices} cannot go with --multirun, where every process would"
            " run the whole sweep: give each job one device, and let a launcher run jobs side by side"
        )
    training = ["algo.meta_batch_size"] if trains else []
    validation = ["eval.monitor_tasks"] if trains and cfg.eval.monitor_every else []
    for key in *training, "eval.tasks", *validation:
        if (value := OmegaConf.select(cfg, key)) < ranks:
            raise ValueError(f"{key}={value} is too few for {ranks} devices: each needs a task")


def check_objective(cfg: DictConfig) -> None:
    """Check that a sweeper that learns from scores gets them."""
    if run_mode() != RunMode.MULTIRUN:
        return
    if HydraConfig.get().sweeper._target_.endswith("BasicSweeper"):
        return
    if cfg.objective is None:
        raise ValueError("objective=null gives the sweeper no score: set objective=val or test")
    if cfg.objective == "val" and not 0 < cfg.eval.monitor_every <= cfg.trainer.max_steps:
        raise ValueError(
            f"eval.monitor_every={cfg.eval.monitor_every} leaves objective=val without a validation in"
            f" trainer.max_steps={cfg.trainer.max_steps} iterations: lower it, or set objective=test"
        )


def check_shots(cfg: DictConfig) -> None:
    """Check the size of a task against what is done with it."""
    tail, shots, ways = cfg.algo.tail_shots, cfg.data.train_shots, cfg.data.ways
    if shots <= tail:
        raise ValueError(
            f"algo.tail_shots={tail} leaves none of data.train_shots={shots} for the mini-batches"
            " before the tail"
        )
    source = class_at("data.source", cfg.data.source._target_)
    kind = getattr(source, "kind", None)
    if isinstance(kind, TaskKind) and ways < kind.fewest_ways:
        raise ValueError(
            f"data.ways={ways} must be at least {kind.fewest_ways} for {cfg.data.source._target_}"
        )


def run_mode() -> RunMode | None:
    """Return whether Hydra runs one job or a sweep; None where no job is run."""
    return HydraConfig.get().mode if HydraConfig.initialized() else None
