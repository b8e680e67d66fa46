"""Build the objects of a run from its config; a config goes no further than here."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from firstorder.algo import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.cli.validation import check_together, check_tree, plain_value
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.source import TaskSource
from firstorder.run.building import construct
from firstorder.run.learner import MetaLearner
from firstorder.run.shapes import check_fit


def build(cfg: DictConfig, key: str) -> Any:
    """Build the object that a node of the config describes, its settings checked.

    Raises:
        ValueError: a setting that its class does not take, or a mistake that it finds itself.
    """
    node = plain_value(cfg, key)
    check_tree(key, node, dict[str, Any])
    return construct(key, node)


def assemble(
    cfg: DictConfig, config: dict[str, Any], *, trains: bool = True
) -> tuple[MetaLearner, EpisodeDataModule]:
    """Build the learner and the data of a run; `config` is what its checkpoints remember.

    One that does not train may have fewer tasks in a meta-batch than there are devices.

    Raises:
        ValueError: a setting is wrong by itself, or does not go with another.
    """
    algorithm: MetaAlgorithm = build(cfg, "algo")
    evaluation: EvaluationSettings = build(cfg, "eval")
    check_together(cfg, trains=trains)
    source: TaskSource = build(cfg, "data.source")
    module = build(cfg, "model")
    check_fit(module, source, cfg.data.ways)
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
        on_device=cfg.data.get("on_device", "auto"),  # which an early run's settings lack
    )
    learner = MetaLearner(
        algorithm,
        module,
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
