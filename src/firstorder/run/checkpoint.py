"""Checkpoints: what they remember of the run that wrote them, and what may go on from them."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from omegaconf import DictConfig, OmegaConf

from firstorder.run.atomic import replacing

TRAINED = "{trained}"  # stands for the group of the training run in the settings of an evaluation


class AtomicCheckpoints(TorchCheckpointIO):
    """Write each checkpoint beside its place, to the disk, and move it there.

    Lightning writes to the folder for temporary files first, and copies where that is on another file
    system: a kill while it copies leaves half a checkpoint, and none besides.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        assert storage_options is None
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with replacing(Path(path)) as file:
            torch.save(checkpoint, file)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU, weights and plain values only.

    Raises:
        ValueError: there is none at the path, or it was not written by this project.
    """
    if not Path(path).is_file():
        raise ValueError(f"ckpt_path={path} is not a file: name the last.ckpt of a run folder")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint["config"]["algo"]["_target_"]
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
        raise ValueError(
            f"ckpt_path={path} is not a checkpoint of firstorder, or is cut off"
        ) from error
    return checkpoint


def read_resumable(path: str, config: dict[str, Any]) -> dict[str, Any]:
    """Load a checkpoint that a run with these settings can go on from.

    Raises:
        ValueError: there is none, or it was written by another algorithm or for another network.
    """
    checkpoint = read_checkpoint(path)
    then = checkpoint["config"]
    for key, what in ("algo._target_", "algorithm"), ("model", "network"), ("seed", "seed"):
        before, now = (OmegaConf.select(OmegaConf.create(c), key) for c in (then, config))
        if before != now:
            raise ValueError(
                f"ckpt_path={path} was written with another {what}: {key}={before}, and this run has"
                f" {now}; resume with the settings of its config.yaml"
            )
    return checkpoint


def as_trained(cfg: DictConfig, trained: dict[str, Any]) -> DictConfig:
    """Return the config of a training run with the settings of `cfg` that are not null in it.

    Raises:
        ValueError: it has settings as none of ours has.
    """

    def given(node: dict[str, Any]) -> dict[str, Any]:
        nested = {k: given(v) if isinstance(v, dict) else v for k, v in node.items()}
        return {key: value for key, value in nested.items() if value is not None}

    if "${" in str(trained):  # a reference, which could read the environment
        raise ValueError(
            f"ckpt_path={cfg.ckpt_path} was not written by firstorder: its settings are not plain"
        )
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    merged = OmegaConf.merge(trained, given(settings))
    merged.logger, merged.plugins = cfg.logger, cfg.plugins
    if merged.logger.wandb:
        for key in "name", "group":  # in this order: the name is made of the group
            if called := merged.logger.wandb[key]:
                merged.logger.wandb[key] = called.replace(TRAINED, group_of(trained))
    if cfg.data.root is not None and "root" in merged.data.source:
        merged.data.source.root = cfg.data.root
    return merged  # type: ignore[return-value]


def group_of(trained: dict[str, Any]) -> str:
    """Return the Weights & Biases group of a training run; where it had none, its algorithm and data."""
    if group := (trained["logger"]["wandb"] or {}).get("group"):
        return str(group)
    algo, source = (
        node["_target_"].rpartition(".")[2] for node in (trained["algo"], trained["data"]["source"])
    )
    return f"{re.sub('(?<=[a-z])(?=[A-Z])', '_', algo)}_{source}".lower()
