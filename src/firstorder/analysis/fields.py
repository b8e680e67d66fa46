"""How fast neural fields are fitted from several initialisations (Tancik et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import pandas as pd
import torch
from annotated_types import Len
from torch import Tensor

from firstorder.algo.evaluation import EvaluationSettings, Evaluator
from firstorder.analysis.initialisations import Initialisations
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.sampler import EpisodeSampler, MetaBatches
from firstorder.run.learner import MetaLearner
from firstorder.settings import Count, CountOrZero, StepSize
from firstorder.task.episode import Episode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Fields(Initialisations):
    """Fit test tasks and score each after several numbers of steps; one of them is also shown.

    Every initialisation is fitted with several step sizes, and for each number of steps the one is taken
    that is best on as many validation tasks, so that none is held to the step size of another.

    Attributes:
        counts: inner steps after which a task is scored.
        tasks: test tasks, and validation tasks.
        batch_size: points of a mini-batch.
        points: query points, such as all pixels of an image.
        step_sizes: multiples of each algorithm's inner_lr to try.
    """

    counts: Annotated[Sequence[CountOrZero], Len(1)] = (0, 1, 2, 5, 10, 20, 50, 100, 200)
    tasks: Count = 50
    batch_size: Count = 784
    points: Count = 784
    step_sizes: Annotated[Sequence[StepSize], Len(1)] = (1.0, 3.0, 10.0)

    def evaluation(self) -> EvaluationSettings:
        return EvaluationSettings(
            tasks=self.tasks, monitor_tasks=self.tasks, inner_steps=max(self.counts),
            inner_batch_size=self.batch_size, query_shots=self.points,
        )  # fmt: skip

    def measure(self) -> pd.DataFrame:
        """Return a row for each score, and each value of the task that is shown.

        `kind` is "score", or "target" or "fit" of the values;
        `index` is the number of the task, or of the point.
        """
        learners = self.learners()
        datamodule = self.datamodule(next(iter(self.algorithms.values())))
        validation, test = (
            self.batch(sampler)
            for sampler in (datamodule.monitor_sampler(), datamodule.test_sampler())
        )
        shown = datamodule.test_sampler()[self.task].to_float()
        rows: list[tuple[str, str, int, int, int, float]] = []
        for name, learner in learners.items():
            evaluators = [self.evaluator(learner, size) for size in self.step_sizes]
            target = enumerate(shown.query_y.tolist())
            rows += [(name, "target", 0, i, c, v) for i, y in target for c, v in enumerate(y)]
            for steps in self.counts:
                tried = [self.scores(one, learner, validation, steps).mean() for one in evaluators]
                best = evaluators[int((self.sign * torch.stack(tried)).argmax())]
                scores = self.scores(best, learner, test, steps).tolist()
                rows += [(name, "score", steps, i, 0, score) for i, score in enumerate(scores)]
                fit = enumerate(self.fit(best, learner, shown, steps).tolist())
                rows += [(name, "fit", steps, i, c, v) for i, y in fit for c, v in enumerate(y)]
        columns = ["initialisation", "kind", "steps", "index", "channel", "value"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def sign(self) -> int:
        """1 where a higher score is better, -1 where a lower one is."""
        return 1 if self.source.kind.higher_is_better else -1

    def batch(self, sampler: EpisodeSampler) -> Episode:
        """Return the first tasks of a stream, as one batch."""
        return MetaBatches(sampler, self.tasks, self.tasks)[0].to_float()

    def evaluator(self, learner: MetaLearner, size: float) -> Evaluator:
        """Return what fits with a multiple of the step size."""
        algorithm = learner.algorithm.with_inner_lr(size * learner.algorithm.inner_lr)
        return Evaluator(algorithm, learner.kind, learner.loss)

    def scores(
        self, evaluator: Evaluator, learner: MetaLearner, tasks: Episode, steps: int
    ) -> Tensor:
        """Return the score of each task after a number of steps, (tasks,)."""
        found, _ = evaluator.score(learner.meta, learner.inner_state, tasks, steps)
        return found[learner.kind.protocols[0]]

    def fit(self, evaluator: Evaluator, learner: MetaLearner, task: Episode, steps: int) -> Tensor:
        """Return what is predicted at the query points of one task, (m, outputs)."""
        cut = task._replace(batch_indices=task.batch_indices[:steps])
        phi = evaluator.adapt(learner.meta, learner.inner_state, cut)
        with torch.no_grad():
            return learner.network.predict(phi, task.query_x)

    def datamodule(self, algorithm: object) -> EpisodeDataModule:
        found = super().datamodule(algorithm)  # type: ignore[arg-type]
        found.prepare_data()
        found.setup("test")
        return found

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return mean scores, a row an initialisation, a column a number of steps, and the steps saved.

        "random needs" is the first number of steps after which the random initialisation is as good as
        this one after 5 (or the first number above 0).
        """
        scores = table[table.kind == "score"]
        means = scores.pivot_table("value", "initialisation", "steps", "mean", sort=False)
        few = min((n for n in means.columns if n), key=lambda n: abs(n - 5))
        random = means.iloc[0]
        rows = []
        for name, mean in means.iterrows():
            enough = [n for n, score in random.items() if self.sign * (score - mean[few]) >= 0]
            needs = f"{enough[0]}" if enough else f"over {means.columns[-1]}"
            found = {f"{n} steps": f"{score:.1f}" for n, score in mean.items()}
            rows.append(
                {"initialisation": name, **found, f"as good as after {few}, random needs": needs}
            )
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.fields import draw_fields  # matplotlib is slow to load

        return draw_fields(table, self.source.kind.measure)
