"""The end of every run: the final test, and what is left in the run folder."""

import time
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.figures.example import draw_example
from firstorder.run.atomic import write_json
from firstorder.run.learner import MetaLearner
from firstorder.run.record import results, show, summary, with_diverged
from firstorder.run.run import Run
from firstorder.run.scores import TaskScores, write_scores


def final_test(
    run: Run, trainer: Trainer, learner: MetaLearner, datamodule: EpisodeDataModule
) -> dict[str, Any]:
    """Evaluate on the test episodes; write results, scores and the figure of one, print a table.

    Returns:
        what results.json says of the test; nothing on the ranks that did not write it.
    """
    start = time.perf_counter()
    trainer.test(learner, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return {}
    seconds, steps = time.perf_counter() - start, trainer.global_step or run.first_step
    found = in_order(learner.scores)
    test = with_diverged(summary(learner.kind, found.scores), int(found.diverged.sum()))
    write_scores(run.folder / "scores.npz", found)
    record = results(run, learner, datamodule.source, steps=steps, eval_seconds=seconds, test=test)
    write_json(run.folder / "results.json", record)
    (run.folder / "figures").mkdir(exist_ok=True)
    figure = draw_example(learner, datamodule.test_sampler()[0])
    figure.savefig(run.folder / "figures" / "test_episode.png", dpi=150)
    if run.wandb:
        run.wandb.add_test(test, figure)
    show(test, run.folder, steps, run.time.seconds, seconds)
    return test


def in_order(scores: dict[str, Tensor]) -> TaskScores:
    """Give the scores of tasks that were evaluated one after the other their numbers."""
    scores = {name: values.float().cpu().flatten() for name, values in scores.items()}
    tasks = len(next(iter(scores.values())))
    return TaskScores(torch.arange(tasks), scores, torch.zeros(tasks, dtype=torch.bool))
