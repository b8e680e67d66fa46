"""What happens around outer iterations: the clock, the last checkpoint, compiled inner loops."""

import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from firstorder.engine import set_engines
from firstorder.inner_loop import gradient_and_value, step, update
from firstorder.run.atomic import Unwritable
from firstorder.run.journal import Journal
from firstorder.run.learner import MetaLearner
from firstorder.run.saving import say_stopped
from firstorder.second_order import recorded_step, step_vjp, update_vjp
from firstorder.signals import Stopped


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

    Where a signal stops it, `SaveCheckpoints` has done so; where the disk is full, nobody can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if isinstance(exception, Stopped | Unwritable):
            return
        if trainer.state.fn == "fit" and trainer.global_step:
            trainer.save_checkpoint(self.path)
            if trainer.is_global_zero:
                say_stopped(trainer, self.path)


class CompileInnerLoop(Callback):
    """Run a run's inner steps in machine code, in training and at evaluation.

    The published convolutional networks have steps of their own, built once on a machine; those of
    other networks are compiled where the run is long enough to pay for it. "auto" does so on a
    processor only: what pays there was measured there.

    Args:
        setting: "auto", "always" or "never", see `firstorder.engines.inductor`.
    """

    def __init__(self, setting: str) -> None:
        from firstorder.engines.inductor import Compiler  # loads TorchInductor: for a real run only

        compiled = step, recorded_step, step_vjp, gradient_and_value, update, update_vjp
        self.setting, self.compiler = setting, Compiler(*compiled)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        from firstorder.engines.build import has_compiler
        from firstorder.engines.inductor import is_worthwhile
        from firstorder.engines.native import NativeSteps

        assert isinstance(pl_module, MetaLearner)
        algorithm, is_random = pl_module.algorithm, pl_module.network.is_random
        steps = trainer.max_steps * algorithm.meta_batch_size * algorithm.inner_steps
        elsewhere = self.setting == "auto" and trainer.strategy.root_device.type != "cpu"
        if not elsewhere and has_compiler(self.setting):
            # What a random network draws depends on the task, which a compiled step doesn't see.
            compiles = is_worthwhile(self.setting, steps) and not is_random
            compiler = [self.compiler] if compiles else []
            set_engines(NativeSteps(required=self.setting == "always"), *compiler)
        else:
            set_engines()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        set_engines()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        set_engines()
