"""Lightning's Trainer, set up for outer iterations."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from firstorder.messages import one_of
from firstorder.run.callbacks import CompileInnerLoop, SaveBeforeDying
from firstorder.run.checkpoint import AtomicCheckpoints
from firstorder.run.progress import OuterProgress

CHECKPOINTS, LAST = "checkpoints", "last.ckpt"
PRECISIONS = ["32-true", "64-true", "bf16-mixed"]  # float16 would need its losses scaled

# What Lightning says of itself at every start, of a run folder that Hydra has made, of a checkpoint
# that holds the weights after the step (as it should), of a run of no iterations, and of a resume (our
# loader starts at the iteration that is next).
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
for said in (
    "Experiment logs directory",
    "`isinstance.treespec, LeafSpec",
    "Using ModelCheckpoint with manual optimization",
    "Total length of `CombinedLoader`",
    "Checkpoint directory .* exists and is not empty",
    "You're resuming from a checkpoint that ended before the epoch ended",
):
    warnings.filterwarnings("ignore", message=said)


def build_trainer(
    folder: Path | None,
    loggers: list[Logger],
    *,
    callbacks: Sequence[Callback] = (),
    monitor_every: int = 0,
    max_steps: int = 0,
    accelerator: str = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32-true",
    threads: int | None = None,
    log_every: int = 50,
    checkpoint_every: int = 1000,
    progress: bool = True,
    compile: str = "auto",
    matmul: str = "highest",
) -> Trainer:
    """Build the Trainer of a run; the other settings are those of `TrainerConfig`.

    Args:
        folder: the run folder; with None, no checkpoints are written.
        loggers: where metrics go.
        callbacks: more of them.
        monitor_every: outer iterations between two validations, 0 for none.

    Raises:
        ValueError: there is no GPU where one is asked for, or no such precision.
    """
    one_of("trainer.precision", precision, PRECISIONS)
    one_of("trainer.matmul", matmul, ["highest", "high", "medium"])
    torch.set_float32_matmul_precision(matmul)
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"trainer.accelerator={accelerator}, but torch finds no GPU here: set"
            " trainer.accelerator=cpu, or install a CUDA build of torch"
        )
    if threads:
        torch.set_num_threads(threads)
    used = [*callbacks, CompileInnerLoop(compile)]
    if folder is not None:
        keep_last: dict[str, Any] = {"filename": "last", "enable_version_counter": False}
        kept = folder / CHECKPOINTS
        used += [
            ModelCheckpoint(kept, every_n_train_steps=checkpoint_every, **keep_last),
            SaveBeforeDying(kept / LAST),
        ]
    if progress:
        used.append(OuterProgress(refresh_every=max(1, log_every // 5)))
    return Trainer(
        default_root_dir=folder,
        logger=loggers,
        callbacks=used,
        plugins=[AtomicCheckpoints()],
        enable_checkpointing=folder is not None,
        max_steps=max_steps,
        max_epochs=-1,
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        precision=precision,  # type: ignore[arg-type]
        log_every_n_steps=log_every,
        check_val_every_n_epoch=None,
        val_check_interval=monitor_every or None,
        limit_val_batches=None if monitor_every else 0,
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # evaluation adapts by gradient steps
    )
