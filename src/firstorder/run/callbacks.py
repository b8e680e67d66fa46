"""What happens around outer iterations: the clock, the last checkpoint, compiled inner loops."""

import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from firstorder.engine import Engine, set_engines
from firstorder.inner_loop import adapt, gradient_and_value, step, update
from firstorder.meta_gradient import (
    combination,
    fomaml,
    joint,
    maml_first_order,
    product,
    reptile,
)
from firstorder.network import predict
from firstorder.run.atomic import Unwritable
from firstorder.run.journal import Journal
from firstorder.run.learner import MetaLearner
from firstorder.run.saving import say_stopped
from firstorder.second_order import recorded_step, step_vjp, update_vjp
from firstorder.signals import Stopped

LOOPS = reptile, fomaml, joint, combination, maml_first_order, product  # whole inner loops


class TrainingTime(Callback):
    """Count the seconds and the interruptions behind the weights, over all legs of a run.

    Both lie in the checkpoints, so that they survive a kill. What a killed leg did after its last
    checkpoint is done again, and counted once.

    Args:
        journal: where to note how far the run is when training starts and ends.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._before = 0.0
        self._begun: float | None = None
        self._steps_wanted = 0  # by the leg that wrote the checkpoint

    @property
    def seconds(self) -> float:
        """The seconds behind the weights, until now."""
        return self._before + (time.perf_counter() - self._begun if self._begun else 0.0)

    def state_dict(self) -> dict[str, Any]:
        return {
            "train_seconds": self.seconds,
            "interruptions": self.journal.interruptions,
            "max_steps": self.journal.max_steps,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before, self._steps_wanted = state_dict["train_seconds"], state_dict["max_steps"]
        known = self.journal.interruptions, state_dict["interruptions"]
        self.journal.interruptions = max(known)  # a leg without a checkpoint is in the journal only

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step < self._steps_wanted:
            self.journal.interruptions += 1
        self._begun = time.perf_counter()
        self._note(trainer, max_steps=trainer.max_steps)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop(trainer)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if not isinstance(exception, Unwritable):  # else run.json can't be written either
            self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        if self._begun is not None:
            self._before, self._begun = self.seconds, None
            self._note(trainer)

    def _note(self, trainer: Trainer, **more: Any) -> None:
        self.journal.write(iteration=trainer.global_step, train_seconds=self.seconds, **more)


class SaveBeforeDying(Callback):
    """Write the checkpoint of the last whole iteration when a run fails.

    Where a signal stops it, `SaveCheckpoints` has done so; where the disk is full, nobody can. The first
    rank writes it and waits for no other: the others may have ended, or never come here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if trainer.state.fn != "fit" or isinstance(exception, Stopped | Unwritable):
            return
        assert isinstance(pl_module, MetaLearner)
        pl_module.undo_if_not_finite()  # what nobody has looked at is not saved
        if trainer.global_step and trainer.is_global_zero:
            checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
            trainer.strategy.save_checkpoint(checkpoint, self.path)
            say_stopped(trainer, self.path)


class CompileInnerLoop(Callback):
    """Run a run's inner loops in machine code, or on a GPU as recordings, in training and at evaluation.

    The published convolutional networks have steps of their own, built once on a machine; those of
    other networks are compiled where the run is long enough to pay for it. A GPU replays whole inner
    loops.

    Args:
        setting: "auto", "always" or "never", see `firstorder.engines.inductor`.
        convolutions: see `firstorder.engines.cuda_graph`.
    """

    def __init__(self, setting: str, convolutions: str = "products") -> None:
        from firstorder.engines.cuda_graph import CudaGraphs
        from firstorder.engines.inductor import Compiler  # loads TorchInductor: for a real run only

        compiled = step, recorded_step, step_vjp, gradient_and_value, update, update_vjp
        self.setting, self.compiler = setting, Compiler(*compiled)
        required = setting == "always"
        self.graphs = CudaGraphs(
            *LOOPS, adapt, predict, *compiled, convolutions=convolutions, required=required
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        set_engines(*self._engines(trainer, pl_module))

    def _engines(self, trainer: Trainer, pl_module: LightningModule) -> list[Engine]:
        from firstorder.engines.build import has_compiler
        from firstorder.engines.inductor import is_worthwhile
        from firstorder.engines.native import NativeSteps

        assert isinstance(pl_module, MetaLearner)
        algorithm, is_random = pl_module.algorithm, pl_module.network.is_random
        device, required = trainer.strategy.root_device.type, self.setting == "always"
        # What a random network draws depends on the task, which a compiled step doesn't see.
        if device == "cuda":
            return [] if self.setting == "never" or is_random else [self.graphs]
        if (device != "cpu" and not required) or not has_compiler(self.setting):
            return []
        steps = trainer.max_steps * algorithm.meta_batch_size * algorithm.inner_steps
        compiles = is_worthwhile(self.setting, steps) and not is_random
        return [NativeSteps(required), *([self.compiler] if compiles else [])]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        set_engines()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        set_engines()
