"""The end of every run: the final test, and what is left in the run folder."""

import time
from typing import Any

from lightning import Trainer

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.atomic import replacing, write_json, writing
from firstorder.run.learner import MetaLearner
from firstorder.run.record import results, show, with_diverged
from firstorder.run.run import Run
from firstorder.run.scores import write_scores


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
        adaptation=learner.adaptation_curve,
    )
    picture = run.folder / "figures" / "test_episode.png"
    with writing(picture):
        picture.parent.mkdir(exist_ok=True)
    figure = learner.kind.draw(learner.example(datamodule.test_sampler()[0]))
    with replacing(picture) as file:
        figure.savefig(file, format="png", dpi=150)
    write_json(run.folder / "results.json", record)  # last: where it lies, a run has finished
    if run.wandb:
        run.wandb.add_test(record, {"test_episode": figure})
        if run.job_type == "train":
            run.wandb.add_checkpoint(run.last_checkpoint, record)
    rows = learner.kind.rows(test)
    show(rows, diverged, run.folder, steps, run.time.seconds, seconds)
    return test
