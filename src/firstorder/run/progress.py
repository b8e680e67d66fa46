"""The progress bar: iterations, rate, time left, losses, validation."""

import sys
from collections.abc import Mapping
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm  # of a notebook's kind in a notebook

BAR = "{desc} {n_fmt}/{total_fmt} |{bar}| {rate_fmt}, {remaining} left{postfix}"
LOSSES = "train/loss_before", "train/loss_after"


class OuterProgress(ProgressBar):
    """Show one bar over the outer iterations, and one over the final test.

    Args:
        refresh_every: outer iterations between two updates of the bar.
    """

    def __init__(self, refresh_every: int = 10) -> None:
        super().__init__()
        self.refresh_every, self._is_shown = refresh_every, True
        self._bar: tqdm | None = None

    def disable(self) -> None:
        """Show nothing, as Lightning asks of all ranks but the first."""
        self._is_shown = False

    def enable(self) -> None:
        """Show the bar."""
        self._is_shown = True

    def print(self, *args: Any, sep: str = " ", **kwargs: Any) -> None:
        tqdm.write(sep.join(map(str, args)), **kwargs)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open("training", trainer.max_steps, trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        done = trainer.global_step
        if self._bar is not None and (done % self.refresh_every == 0 or done == self._bar.total):
            self._show(trainer)
            self._bar.update(done - self._bar.n)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._show(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._open("testing", int(sum(trainer.num_test_batches)), unit="batch")

    def on_test_batch_end(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.update()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        self._close()

    def _open(self, what: str, total: int, done: int = 0, unit: str = "it") -> None:
        if self._is_shown:
            is_watched = sys.stderr.isatty() or "ipykernel" in sys.modules
            every = 0.1 if is_watched else 30.0  # a file is not flooded with bars
            self._bar = tqdm(
                desc=what, total=total, initial=done, unit=unit, mininterval=every, leave=True,
                bar_format=BAR,
            )  # fmt: skip

    def _show(self, trainer: Trainer) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(describe(trainer.progress_bar_metrics), refresh=False)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def describe(metrics: Mapping[str, float]) -> str:
    """Say the inner loss at the first and last inner step, and the last validation scores."""
    parts = []
    if all(name in metrics for name in LOSSES):
        before, after = (metrics[name] for name in LOSSES)
        parts.append(f"inner loss {before:.3g} -> {after:.3g}")
    groups: dict[str, list[str]] = {}
    for name, value in metrics.items():
        group, slash, _ = name.partition("/")
        if slash and group != "train":
            groups.setdefault(group, []).append(f"{value:.3g}")
    return ", ".join(
        [*parts, *(f"{group} {' / '.join(values)}" for group, values in groups.items())]
    )
