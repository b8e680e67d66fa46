"""Sentences on topics: few-shot classification in a small synthetic language; a class is a topic."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstorder.data.source import Task, TaskSizeError
from firstorder.settings import Count, Seed, Share, Width, check_fields
from firstorder.task.base import TaskKind
from firstorder.task.classification import Classification

TOPICS = {"train": 64, "val": 16, "test": 20}


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Draw N-way K-shot tasks of sentences; a class is a topic, a sentence of which is `length` words.

    A word is, with the probability `common`, one that all topics share, and else one of the topic's own,
    each with its own frequency. The topics of the three splits are other ones, over one vocabulary.

    Attributes:
        words: size of the vocabulary; the first fifth of it is common.
        length: words of a sentence.
        own: words of a topic.
        common: share of common words in a sentence.
        language_seed: of the topics.
    """

    words: Width = 500
    length: Width = 16
    own: Count = 20
    common: Share = 0.6
    language_seed: Seed = 0

    name: ClassVar[str] = "topics"
    kind: ClassVar[TaskKind] = Classification()
    classes: ClassVar[dict[str, int]] = TOPICS

    def __post_init__(self) -> None:
        check_fields(self, "data.source")
        if self.own > self.words - self.shared:
            raise ValueError(
                f"data.source.own={self.own} is more than the {self.words - self.shared} words that are"
                " not common: lower it"
            )

    @property
    def shared(self) -> int:
        """The number of common words."""
        return max(1, self.words // 5)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sentence: numbers of words."""
        return (self.length,)

    @property
    def fingerprint(self) -> str:
        """What decides the language."""
        return (
            f"{self.words} words, {self.own} a topic, {self.common:g} common, length {self.length}, seed"
            f" {self.language_seed}"
        )

    def prepare(self) -> None:
        """Do nothing: sentences are drawn as they are asked for."""

    def setup(self) -> None:
        """Do nothing: there is nothing to open."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways > TOPICS[split]:
            raise TaskSizeError(
                f"data.ways={ways} asks for more topics than the {TOPICS[split]} in the {split} split:"
                " lower data.ways"
            )
        first = {"train": 0, "val": 64, "test": 80}[split]
        topics = first + rng.permutation(TOPICS[split])[:ways]
        drawn = [self.sentences(topic, shots + query_shots, rng) for topic in topics]
        labels = np.arange(ways)
        return Task(
            np.concatenate([x[:shots] for x in drawn]), labels.repeat(shots),
            np.concatenate([x[shots:] for x in drawn]), labels.repeat(query_shots),
        )  # fmt: skip

    def sentences(self, topic: int, number: int, rng: np.random.Generator) -> np.ndarray:
        """Return sentences on one topic, (number, length) int64."""
        language = np.random.default_rng((self.language_seed, int(topic)))
        own = self.shared + language.permutation(self.words - self.shared)[: self.own]
        often = language.dirichlet(np.ones(self.own))
        shape = (number, self.length)
        words = np.where(
            rng.random(shape) < self.common,
            rng.integers(self.shared, size=shape),
            rng.choice(own, size=shape, p=often),
        )
        return words.astype(np.int64)
