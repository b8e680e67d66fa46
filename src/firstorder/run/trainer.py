"""Lightning's Trainer, set up for outer iterations."""

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger

from firstorder.run.callbacks import CompileInnerLoop, SaveBeforeDying
from firstorder.run.checkpoint import AtomicCheckpoints
from firstorder.run.progress import OuterProgress
from firstorder.run.ranks import Ranks, environment
from firstorder.run.saving import LAST, SaveCheckpoints
from firstorder.settings import Count, CountOrZero, Minutes, Processes, check_fields

CHECKPOINTS = "checkpoints"

# What Lightning says of itself at every start, of a run folder that Hydra has made, of a run of no
# iterations, and of a resume (our loader starts at the iteration that is next, and a checkpoint of an
# earlier version was written by another callback). Scores are gathered from all ranks before they are
# logged.
for part in "lightning.pytorch", "lightning.fabric":
    logging.getLogger(part).setLevel(logging.WARNING)
for said in (
    "Experiment logs directory",
    "`isinstance.treespec, LeafSpec",
    "Total length of `",
    r"It is recommended to use `self.log\(",
    "Be aware that when using `ckpt_path`",
    "You're resuming from a checkpoint that ended before the epoch ended",
):
    warnings.filterwarnings("ignore", message=said)


@dataclass(frozen=True, kw_only=True)
class HardwareConfig:
    """Say on what a run computes; an evaluation may say it anew.

    Attributes:
        accelerator, devices, num_nodes, strategy: as Lightning's Trainer takes them.
        threads: CPU threads of a process; torch's choice where None.
        progress: show a progress bar.
        compile: whether the inner loop runs compiled, on a GPU as a replayed CUDA graph: "always",
            "never", or "auto", where it pays.
        convolutions: how those of many tasks at once are computed on a GPU: as matrix "products", or by
            the "library", as grouped convolutions. Without CUDA graphs it is always the library.
        matmul: torch's precision of products and convolutions of float32 on a GPU: "highest", or "high"
            for TF32, or "medium" for bfloat16 products.
        deterministic: let torch use deterministic kernels only, so that a GPU gives the same bits each
            time; on a processor, compute on one thread, as torch's sums depend on their number.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: Processes = 1
    num_nodes: Processes = 1
    strategy: Literal["auto", "ddp"] = "auto"
    threads: Processes | None = None
    progress: bool = True
    compile: Literal["auto", "always", "never"] = "auto"
    convolutions: Literal["products", "library"] = "products"
    matmul: Literal["highest", "high", "medium"] = "highest"
    deterministic: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "trainer")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig(HardwareConfig):
    """Say how long a run trains, and what it writes on the way.

    Attributes:
        max_steps: N, outer iterations; 0 evaluates the random initialisation.
        precision: "32-true", "64-true", or "bf16-mixed" for bfloat16 in products and convolutions;
            float16 would need its losses scaled.
        log_every: outer iterations between two lines of metrics.
        checkpoint_every: outer iterations between two checkpoints.
        checkpoint_minutes: the longest time between two, in minutes; None sets no limit.
        checkpoints_kept: how many of the last ones stay, besides the best by validation.
    """

    max_steps: CountOrZero = 1000
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    log_every: Count = 50
    checkpoint_every: Count = 1000
    checkpoint_minutes: Minutes | None = 5.0
    checkpoints_kept: Count = 2


def build_trainer(
    folder: Path | None,
    loggers: list[Logger],
    config: TrainerConfig,
    *,
    callbacks: Sequence[Callback] = (),
    monitor_every: int = 0,
) -> Trainer:
    """Build the Trainer of a run.

    Args:
        folder: the run folder; with None, no checkpoints are written.
        loggers: where metrics go.
        config: its settings.
        callbacks: more of them.
        monitor_every: outer iterations between two validations, 0 for none.

    Raises:
        ValueError: there is no GPU where one is asked for.
    """
    torch.set_float32_matmul_precision(config.matmul)
    torch.backends.cudnn.allow_tf32 = (
        config.matmul != "highest"
    )  # else convolutions take TF32 anyway
    if config.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"trainer.accelerator={config.accelerator}, but torch finds no GPU here: set"
            " trainer.accelerator=cpu, or install a CUDA build of torch"
        )
    on_gpu = torch.cuda.is_available() and config.accelerator != "cpu"
    threads = 1 if config.deterministic and not on_gpu else config.threads
    if threads:
        torch.set_num_threads(threads)
    used = [*callbacks, CompileInnerLoop(config.compile, config.convolutions)]
    if folder is not None:
        saved = folder / CHECKPOINTS
        used += [
            SaveCheckpoints(
                saved,
                every=config.checkpoint_every,
                minutes=config.checkpoint_minutes,
                kept=config.checkpoints_kept,
            ),
            SaveBeforeDying(saved / LAST),
        ]
    if config.progress:
        used.append(OuterProgress(refresh_every=max(1, config.log_every // 5)))
    several = config.devices * config.num_nodes > 1
    is_alone = not several and config.strategy == "auto"
    if config.threads and several:
        os.environ["OMP_NUM_THREADS"] = str(config.threads)  # or Lightning shares out all there are
    return Trainer(
        default_root_dir=folder,
        logger=loggers,
        callbacks=used,
        plugins=[AtomicCheckpoints(), *([environment()] if is_alone else [])],
        enable_checkpointing=folder is not None,
        max_steps=config.max_steps,
        max_epochs=-1,
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy="auto" if is_alone else Ranks(),
        precision=config.precision,
        deterministic=config.deterministic,
        log_every_n_steps=config.log_every,
        check_val_every_n_epoch=None,
        val_check_interval=monitor_every or None,
        limit_val_batches=None if monitor_every else 0,
        num_sanity_val_steps=0,
        enable_progress_bar=config.progress,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,  # evaluation adapts by gradient steps
    )
