"""Checkpoints: what they remember of the run that wrote them, and what may go on from them."""

import pickle
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from firstorder.cli.assembly import plain


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
