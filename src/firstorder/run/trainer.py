"""Lightning's Trainer, set up for outer iterations."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger

from firstorder.engine import set_engines
from firstorder.engines.build import has_compiler
from firstorder.engines.inductor import Compiler, is_worthwhile
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import step
from firstorder.messages import one_of
from firstorder.run.learner import MetaLearner

LAST = "last.ckpt"
PRECISIONS = ["32-true", "64-true", "bf16-mixed"]  # float16 would need its losses scaled

# What Lightning says of itself at every start, of a run folder that Hydra has made, of a checkpoint
# that holds the weights after the step (as it should), and of a run of no iterations.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
for said in (
    "Experiment logs directory",
    "`isinstance.treespec, LeafSpec",
    "Using ModelCheckpoint with manual optimization",
    "Total length of `CombinedLoader`",
):
    warnings.filterwarnings("ignore", message=said)


class SaveBeforeDying(Callback):
    """Write the checkpoint of the last whole iteration when a run is stopped or fails."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if trainer.state.fn == "fit" and trainer.global_step:
            trainer.save_checkpoint(self.path)
            if trainer.is_global_zero:
                print(
                    f"stopped after {trainer.global_step} iterations; go on with ckpt_path={self.path}"
                )


class CompileInnerLoop(Callback):
    """Run a run's inner steps in machine code, in training and at evaluation.

    The published convolutional networks have steps of their own, built once on a machine; those of
    other networks are compiled where the run is long enough to pay for it.

    Args:
        setting: "auto", "always" or "never", see `firstorder.engines.inductor`.
    """

    def __init__(self, setting: str) -> None:
        self.setting, self.compiler = setting, Compiler(step)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert isinstance(pl_module, MetaLearner)
        algorithm = pl_module.algorithm
        steps = trainer.max_steps * algorithm.meta_batch_size * algorithm.inner_steps
        if has_compiler(self.setting):
            compiler = [self.compiler] if is_worthwhile(self.setting, steps) else []
            set_engines(NativeSteps(required=self.setting == "always"), *compiler)
        else:
            set_engines()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        set_engines()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        set_engines()


def build_trainer(
    folder: Path,
    loggers: list[Logger],
    *,
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
    """Build the Trainer of a run; the settings are those of `TrainerConfig`.

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
    checkpoints = folder / "checkpoints"
    keep_last: dict[str, Any] = {"filename": "last", "enable_version_counter": False}
    callbacks: list[Callback] = [
        ModelCheckpoint(checkpoints, every_n_train_steps=checkpoint_every, **keep_last),
        SaveBeforeDying(checkpoints / LAST),
        CompileInnerLoop(compile),
        *([TQDMProgressBar(refresh_rate=max(1, log_every // 5))] if progress else []),
    ]
    return Trainer(
        default_root_dir=folder,
        logger=loggers,
        callbacks=callbacks,
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
