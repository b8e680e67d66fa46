"""Checkpoints: how they are written and read, and what they remember of the run that wrote them."""

import hashlib
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from omegaconf import DictConfig, OmegaConf

from firstorder.run.atomic import replacing, writing

TRAINED = "{trained}"  # stands for the group of the training run in the settings of an evaluation
DIGEST = b"sha256:"  # of all that stands before it in the file
LENGTH = len(DIGEST) + 64
PARTS = {
    "config",
    "constants",
    "state_dict",
    "optimizer_states",
    "loops",
    "callbacks",
    "global_step",
}


class AtomicCheckpoints(TorchCheckpointIO):
    """Write each checkpoint beside its place, to the disk, and move it there; verify what is read.

    Lightning writes to the folder for temporary files first, and copies where that is on another file
    system: a kill while it copies leaves half a checkpoint, and none besides.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; storage_options={"earlier": n} keeps n of those before, see `replacing`.

        Raises:
            Unwritable: the file system refuses; what was there before stays.
        """
        place, content = Path(path), sealed(checkpoint)
        with writing(place):
            place.parent.mkdir(
                exist_ok=True
            )  # not its parents: a run folder that has gone stays gone
        with replacing(place, **(storage_options or {})) as file:
            file.write(content)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return unsealed(Path(path).read_bytes())


def sealed(checkpoint: dict[str, Any]) -> bytes:
    """Return the file of a checkpoint: torch's zip archive, with a digest as its comment."""
    buffer = io.BytesIO()  # torch itself breaks down on a disk that is full
    torch.save(checkpoint, buffer)
    archive = buffer.getvalue()
    assert archive.endswith(b"\0\0")  # the length of a comment: none
    archive = archive[:-2] + LENGTH.to_bytes(2, "little")
    return archive + DIGEST + hashlib.sha256(archive).hexdigest().encode()


def unsealed(content: bytes) -> dict[str, Any]:
    """Return the checkpoint that a file holds, on the CPU, weights and plain values only.

    Raises:
        Exception: of many kinds; the file is damaged, or something else.
    """
    if not is_intact(content):
        raise zipfile.BadZipFile("its check sum is wrong")
    loaded: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return loaded


def is_intact(content: bytes) -> bool:
    """Tell whether a checkpoint's file is as it was written.

    Those of earlier versions have no digest, but the archive's own check sums of the parts.
    """
    if DIGEST in content[-LENGTH:]:
        archive, _, digest = content.rpartition(DIGEST)
        return hashlib.sha256(archive).hexdigest().encode() == digest
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        return parts.testzip() is None


def read_checkpoint(path: str | Path, key: str = "ckpt_path") -> dict[str, Any]:
    """Load a checkpoint onto the CPU, weights and plain values only.

    Args:
        path: of the file.
        key: the setting that names it.

    Raises:
        ValueError: there is none at the path, it is damaged, or it was not written by this project.
    """
    if not Path(path).is_file():
        raise ValueError(f"{key}={path} is not a file: name the last.ckpt of a run folder")
    try:
        checkpoint = unsealed(Path(path).read_bytes())
        if missing := PARTS - checkpoint.keys():
            raise KeyError(*missing)
        checkpoint["config"]["algo"]["_target_"]
    except Exception as error:  # a damaged archive has many ways to fail
        raise ValueError(
            f"{key}={path} is not a checkpoint of firstorder, or is damaged or cut off"
            f" ({' '.join(str(error).split())[:80] or type(error).__name__})"
        ) from error
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
    if (root := cfg.data.root or moved_root(merged)) and "root" in merged.data.source:
        merged.data.root = merged.data.source.root = root
    return merged  # type: ignore[return-value]


def moved_root(trained: Any) -> str | None:
    """Return FIRSTORDER_DATA where a run's data.root is no file or folder of this machine."""
    root = trained.data.get("root")
    return None if root is None or Path(root).exists() else os.environ.get("FIRSTORDER_DATA")


def group_of(trained: dict[str, Any]) -> str:
    """Return the Weights & Biases group of a training run; where it had none, its algorithm and data."""
    if group := (trained["logger"]["wandb"] or {}).get("group"):
        return str(group)
    algo, source = (
        node["_target_"].rpartition(".")[2] for node in (trained["algo"], trained["data"]["source"])
    )
    return f"{re.sub('(?<=[a-z])(?=[A-Z])', '_', algo)}_{source}".lower()
