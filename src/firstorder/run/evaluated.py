"""How a learner is evaluated: validation, the final test, the adaptation curve."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from firstorder.algo.evaluation import EvaluationSettings, Evaluator, curve_steps
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.learned import LearnedState
from firstorder.run.scores import CollectScores, TaskScores
from firstorder.task.base import Example, Scores, interval
from firstorder.task.episode import Episode


class EvaluatedLearner(LearnedState):
    """Score what was learnt on validation and test tasks.

    Args:
        arguments, keywords: of `LearnedState`.
        evaluation: how tasks are evaluated; as in training where None.

    Attributes:
        validated, tested: what the tasks of the last validation and test scored.
    """

    def __init__(
        self, *arguments: Any, evaluation: EvaluationSettings | None = None, **keywords: Any
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.evaluation = evaluation or EvaluationSettings(curve_tasks=0)
        algorithm, lr = self.algorithm, self.evaluation.inner_lr
        algorithm.must_take(self.network)
        evaluated = algorithm if lr is None else algorithm.with_inner_lr(lr)
        self.evaluator = Evaluator(
            evaluated, self.kind, self.loss, at_once=self.evaluation.parallel,
            shared_head=self.evaluation.shared_head, permutations=self.evaluation.permutations,
        )  # fmt: skip
        self.collect_scores = CollectScores(self.kind.protocols)
        self.validated: TaskScores | None = None
        self.tested: TaskScores | None = None
        self.curve_steps = curve_steps(self.evaluation.inner_steps)
        self.collect_curve = CollectScores(
            f"{name}/{steps}" for name in self.kind.protocols for steps in self.curve_steps
        )
        self._curve: TaskScores | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["validated"] = tuple(self.validated or ())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if self._trainer is not None and checkpoint.get("validated"):  # a training goes on
            self.validated = TaskScores(*checkpoint["validated"])

    def adapt(self, task: Episode) -> Tensor:
        """Return the weights, (d,), that evaluation's inner loop reaches on one task of floats."""
        return self.evaluator.adapt(self.meta, self.inner_state, task)

    def example(self, task: Episode) -> Example:
        """Adapt to a task step by step, from what was learnt and from a random initialisation."""
        untrained = self.algorithm.meta_parameters(self.network)
        starts = {
            f"after {self.algorithm.name}": (self.meta, self.inner_state),
            "random initialisation": (untrained, None),
        }
        return self.evaluator.example(task.to_float(self.phi.dtype), starts)

    def evaluate(self, tasks: Episode, steps: int | None = None) -> tuple[Scores, Tensor]:
        """Score each task of a batch and say whether it diverged, (tasks,); see `Evaluator.score`."""
        tasks = tasks.to_float(self.phi.dtype)
        return self.evaluator.score(self.meta, self.inner_state, tasks, steps)

    def validation_step(self, tasks: Episode, index: int) -> None:
        self._collect(tasks, self.trainer.val_dataloaders, index)

    def on_validation_epoch_end(self) -> None:
        self.validated = self.collect_scores.collected()
        data = getattr(self.trainer, "datamodule", None)
        prefix = data.monitor_prefix if isinstance(data, EpisodeDataModule) else "val"
        self._log({f"{prefix}/{k}": v.mean().item() for k, v in self.validated.scores.items()})

    def test_step(self, tasks: Episode, index: int) -> None:
        loader: Any = self.trainer.test_dataloaders
        last, diverged = self._collect(tasks, loader, index)
        is_test = loader.batches.sampler.split == "test"
        curve_tasks = self.evaluation.curve_tasks if is_test else 0
        first = [n for n in loader.batches.numbers(index) if n < curve_tasks]
        if first:
            some = Episode(*(field[: len(first)] for field in tasks))
            *others, _ = self.curve_steps  # all steps have just been taken
            each = [*(self.evaluate(some, steps)[0] for steps in others), last]
            self.collect_curve.update(
                first,
                {
                    f"{name}/{steps}": scores[name][: len(first)]
                    for name in self.kind.protocols
                    for steps, scores in zip(self.curve_steps, each, strict=True)
                },
                diverged[: len(first)],
            )

    def on_test_epoch_end(self) -> None:
        self.tested, self._curve = self.collect_scores.collected(), self.collect_curve.collected()
        means = {f"test/{k}": values.mean() for k, values in self.tested.scores.items()}
        self.log_dict(means, logger=False)  # trainer.test returns them; results.json holds them

    @property
    def adaptation_curve(self) -> dict[str, Any]:
        """Mean scores after several numbers of inner steps, on the first tasks of the last test.

        {"steps": [0, 1, ...], "tasks": n, "ci95": {protocol: [interval, ...]}, protocol: [mean, ...],
        ...}; empty where none was measured.
        """
        if self._curve is None or not len(self._curve.task):
            return {}
        measure = self.kind.measure
        found = {
            name: [interval(measure, self._curve.scores[f"{name}/{n}"]) for n in self.curve_steps]
            for name in self.kind.protocols
        }
        return {
            "steps": self.curve_steps,
            "tasks": len(self._curve.task),
            "ci95": {name: [point["ci95"] for point in points] for name, points in found.items()},
            **{name: [point[measure] for point in points] for name, points in found.items()},
        }

    def objective(self, split: str | None) -> float | None:
        """Return the last score on the split "val" or "test" for a sweep to maximise, if there is one."""
        scored = {"val": self.validated, "test": self.tested, None: None}[split]
        return None if scored is None else self.kind.objective(scored.scores)

    def _collect(self, tasks: Episode, loader: Any, index: int) -> tuple[Scores, Tensor]:
        scores, diverged = self.evaluate(tasks)
        self.collect_scores.update(loader.batches.numbers(index), scores, diverged)
        return scores, diverged

    def _log(self, metrics: dict[str, float], not_shown: Mapping[str, float] | None = None) -> None:
        """Log a line at the last iteration, counted from 0, and show it in the progress bar.

        Lightning's own count of it is ahead after a resume from a run's end.
        """
        self.log_dict(metrics, prog_bar=True, logger=False)
        for logger in self.loggers:
            logger.log_metrics({**metrics, **(not_shown or {})}, step=self.global_step - 1)
