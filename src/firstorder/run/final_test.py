"""The end of every run: the final test, and what is left in the run folder."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import Trainer

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.atomic import replacing, write_json, writing
from firstorder.run.learner import MetaLearner
from firstorder.run.metrics_file import STEP, read_rows
from firstorder.run.record import results, show, with_diverged
from firstorder.run.run import Run
from firstorder.run.scores import write_scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def final_test(
    run: Run, trainer: Trainer, learner: MetaLearner, datamodule: EpisodeDataModule
) -> dict[str, Any]:
    """Evaluate on the test episodes; write results, scores and the figure of one, print a table.

    Returns:
        what results.json says of the test; nothing on the ranks that did not write it.
    """
    start = time.perf_counter()
    train = on_training_classes(trainer, learner, datamodule)
    trainer.test(learner, datamodule, verbose=False)
    if not trainer.is_global_zero:
        return {}
    seconds, steps = time.perf_counter() - start, trainer.global_step or run.first_step
    assert learner.tested is not None
    diverged = int(learner.tested.diverged.sum())
    test = with_diverged(learner.kind.summarise(learner.tested.scores), diverged)
    write_scores(run.folder / "scores.npz", learner.tested)
    record = results(
        run,
        learner,
        datamodule.source,
        steps=steps,
        eval_seconds=seconds,
        test=test,
        train=train,
        adaptation=learner.adaptation_curve,
    )
    figures = draw(learner, datamodule, record["adaptation"], run.folder / "metrics.csv")
    pictures = run.folder / "figures"
    with writing(pictures):
        pictures.mkdir(exist_ok=True)
    for name, figure in figures.items():
        with replacing(pictures / f"{name}.png") as file:
            figure.savefig(file, format="png", dpi=150)
    write_json(run.folder / "results.json", record)  # last: where it lies, a run has finished
    if run.wandb:
        run.wandb.add_test(record, figures)
        if run.job_type == "train":
            run.wandb.add_checkpoint(run.last_checkpoint, record)
    show(learner.kind, record, diverged, run.folder)
    return test


def on_training_classes(
    trainer: Trainer, learner: MetaLearner, datamodule: EpisodeDataModule
) -> dict[str, Any]:
    """Evaluate on tasks of the training classes as on those of the test, if there are to be any."""
    if not datamodule.train_tasks:
        return {}
    datamodule.test_split = "train"
    trainer.test(learner, datamodule, verbose=False)
    datamodule.test_split = "test"
    assert learner.tested is not None
    return learner.kind.summarise(learner.tested.scores)


def draw(
    learner: MetaLearner, datamodule: EpisodeDataModule, adaptation: dict[str, Any], metrics: Path
) -> dict[str, "Figure"]:
    """Draw a test task, the adaptation curve and the learning curve, as far as there are any."""
    from firstorder.figures.run_curves import draw_adaptation, draw_learning  # slow to load

    kind = learner.kind
    figures = {"test_episode": kind.draw(learner.example(datamodule.test_sampler()[0]))}
    if adaptation:
        figures["adaptation"] = draw_adaptation(adaptation, kind.measure)
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in read_rows(metrics):
        for name, value in row.items():
            if name != STEP and value:
                curves.setdefault(name, []).append((int(row[STEP]), float(value)))
    if curves:
        figures["learning"] = draw_learning(curves, kind.measure)
    return figures
