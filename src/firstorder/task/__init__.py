"""Kinds of tasks, one a file, and the record that carries a task."""

from firstorder.task.base import TaskKind
from firstorder.task.classification import Classification
from firstorder.task.density import Density
from firstorder.task.episode import Episode
from firstorder.task.field import Field
from firstorder.task.named import Named
from firstorder.task.regression import Regression

__all__ = ["Classification", "Density", "Episode", "Field", "Named", "Regression", "TaskKind"]
