"""What analyses that compare initialisations share: they train them, or read what runs have trained."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Len

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.analysis.base import Analysis
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.messages import one_of
from firstorder.run.checkpoint import read_checkpoint
from firstorder.run.learner import MetaLearner
from firstorder.run.trainer import TrainerConfig, build_trainer
from firstorder.settings import Count, CountOrZero, Seed, check_fields

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class Initialisations(Analysis):
    """Fit a random initialisation and trained ones to the same tasks, step by step.

    Attributes:
        algorithms: those to train, `MetaAlgorithm`s by name. The first also says how the random
            initialisation is fitted.
        source: where tasks come from, a `TaskSource`.
        model: the network; its own parameters are the random initialisation.
        checkpoints: trained runs, by name; an algorithm without one is trained here.
        outer_steps: outer iterations to train for.
        shots: points of a task that are seen.
        train_shots: points of a training task, the tail included.
        counts: inner steps after which a fit is kept, in rising order.
        task: number of the test task that is shown.
        seed: of the tasks.
    """

    algorithms: Any
    source: Any
    model: Any
    checkpoints: dict[str, str] = field(default_factory=dict)
    outer_steps: Count = 2000
    shots: Count = 10
    train_shots: Count = 50
    counts: Annotated[Sequence[CountOrZero], Len(1)] = (0, 1, 8, 32)
    task: CountOrZero = 0
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, "analysis")
        counts = list(self.counts)
        if not max(counts):
            raise ValueError(f"analysis.counts={counts} must name a step above 0")
        if counts != sorted(set(counts)):
            raise ValueError(f"analysis.counts={counts} must rise: write {sorted(set(counts))}")
        for name in self.checkpoints:
            one_of("analysis.checkpoints", name, self.algorithms)
        if self.source.kind.has_classes or len(self.source.output_shape) != 1:
            raise ValueError(
                f"data={self.source.name} has no functions to fit: choose data=sinusoid, data=signals or"
                " data=fields"
            )

    def learners(self) -> dict[str, MetaLearner]:
        """Return the random initialisation and those that the algorithms lead to."""
        first = next(iter(self.algorithms.values()))
        learners = {RANDOM: self.learner(first)}
        for name, algorithm in self.algorithms.items():
            learners[name] = self.learner(algorithm)
            if name in self.checkpoints:
                self.load(learners[name], self.checkpoints[name])
            else:
                self.train(learners[name])
        return learners

    def evaluation(self) -> EvaluationSettings:
        """Say how the initialisations are fitted to test tasks."""
        return EvaluationSettings(
            inner_steps=max(self.counts), inner_batch_size=self.shots, query_shots=50
        )

    def learner(self, algorithm: MetaAlgorithm) -> MetaLearner:
        """Return the random initialisation, to be trained by an algorithm."""
        module = copy.deepcopy(self.model)
        return MetaLearner(algorithm, module, self.source.kind, outer_steps=self.outer_steps)

    def datamodule(self, algorithm: MetaAlgorithm) -> EpisodeDataModule:
        """Return the tasks to train on and to test on."""
        return EpisodeDataModule(
            self.source, algorithm, self.evaluation(), seed=self.seed, ways=1, shots=self.shots,
            train_shots=self.train_shots, outer_steps=self.outer_steps,
        )  # fmt: skip

    def train(self, learner: MetaLearner) -> None:
        """Train as src/train.py does, on the CPU, and leave nothing behind."""
        config = TrainerConfig(max_steps=self.outer_steps, accelerator="cpu", progress=False)
        trainer = build_trainer(None, [], config)
        trainer.fit(learner, self.datamodule(learner.algorithm))

    def load(self, learner: MetaLearner, path: str) -> None:
        """Read what a run has learnt.

        Raises:
            ValueError: it is not a checkpoint, or one of another network or inner optimiser.
        """
        try:
            learner.restore(read_checkpoint(path))
        except RuntimeError as error:
            raise ValueError(
                f"{path} does not fit this network and inner optimiser: give analysis the settings of"
                " its config.yaml"
            ) from error
