"""The end of every run: the final test, and what is left in the run folder."""

import time
from pathlib import Path
from typing import Any

from lightning import Trainer

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.figures.example import draw_example
from firstorder.run import record as results
from firstorder.run.learner import MetaLearner
from firstorder.run.loggers import Record


def final_test(
    trainer: Trainer,
    learner: MetaLearner,
    datamodule: EpisodeDataModule,
    record: Record,
    folder: Path,
    *,
    config: dict[str, Any],
    steps: int,
    train_seconds: float,
) -> dict[str, Any]:
    """Evaluate on the test episodes; write results.json and the figure of one, print a table.

    Returns:
        what results.json holds of the test; nothing, on other ranks than the first.

    Args:
        trainer, learner, datamodule: of the run.
        record: its loggers.
        folder: the run folder.
        config: the run's settings as plain values.
        steps: outer iterations behind the weights.
        train_seconds: wall-clock time they took.
    """
    start = time.perf_counter()
    trainer.test(learner, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return {}
    source, seconds = datamodule.source, time.perf_counter() - start
    test = results.summary(learner.kind, learner.scores)
    results.write(
        folder / "results.json",
        {
            "algo": learner.algorithm.name,
            "data": {
                "name": source.name,
                "fingerprint": source.fingerprint,
                "classes": source.classes,
            },
            "seed": config["seed"],
            "config": config,
            "versions": results.versions(),
            "steps": steps,
            "train_seconds": train_seconds,
            "eval_seconds": seconds,
            "test": test,
        },
    )
    (folder / "figures").mkdir(exist_ok=True)
    figure = draw_example(learner, datamodule.test_sampler()[0])
    figure.savefig(folder / "figures" / "test_episode.png", dpi=150)
    record.finish(test, figure)
    results.show(test, folder, steps, train_seconds, seconds)
    return test
