"""Kinds of tasks, one a file, and the record that carries a task."""

from firstorder.task.base import TaskKind
from firstorder.task.classification import Classification
from firstorder.task.episode import Episode
from firstorder.task.regression import Regression

__all__ = ["Classification", "Episode", "Regression", "TaskKind"]
