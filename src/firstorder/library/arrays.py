"""Few-shot tasks from arrays in memory."""

import hashlib
from typing import Any

import numpy as np

from firstorder.data.images.split import Split
from firstorder.data.source import Task, TaskSizeError, TooFewImages
from firstorder.task.classification import Classification

Labelled = tuple[Any, Any]  # examples, (n, ...), and their labels, (n,)


class ArraySource:
    """Draw classification tasks from labelled arrays, a pair (x, y) a split.

    Args:
        train: x, (n, ...) of bytes or floats, such as images (n, C, H, W), and y, (n,) labels of any
            kind. Bytes are scaled to [0, 1]; floats reach the network as they are.
        test: the same with other classes.
        val: the same with other classes again; without them, validation is on the training classes.

    Raises:
        ValueError: x is neither bytes nor floats, the splits share a class, or their shapes differ.
    """

    name = "arrays"
    kind = Classification()

    def __init__(self, *, train: Labelled, test: Labelled, val: Labelled | None = None) -> None:
        pairs = {"train": train, "val": val, "test": test}
        self._x: dict[str, np.ndarray] = {}
        self._splits: dict[str, Split] = {}
        owner: dict[object, str] = {}
        for split, pair in pairs.items():
            if pair is None and split == "val":
                continue
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                raise ValueError(f"{split} must be a pair (x, y) of examples and their labels")
            x, y = as_examples(pair[0], split), np.asarray(pair[1])
            if y.shape != x.shape[:1]:
                raise ValueError(f"{split} has {len(x)} examples and labels of shape {y.shape}")
            if not len(x):
                raise ValueError(f"{split} holds no examples: give some of two classes or more")
            labels, counts = np.unique(y, return_counts=True)
            for label in labels.tolist():
                if label in owner:
                    raise ValueError(
                        f"the class {label!r} is in {owner[label]} and in {split}: few-shot learning is"
                        " tested on classes that training has not seen"
                    )
                owner[label] = split
            self._x[split] = x[np.argsort(y, kind="stable")]
            starts = np.cumsum(counts) - counts
            self._splits[split] = Split(starts, counts, np.zeros_like(counts))
        shapes = {x.shape[1:] for x in self._x.values()}
        if len(shapes) > 1:
            raise ValueError(f"the splits hold examples of different shapes: {sorted(shapes)}")
        (self.input_shape,) = shapes

    @property
    def classes(self) -> dict[str, int]:
        """The number of classes in each split."""
        return {
            split: len(self._splits[split].starts) if split in self._splits else 0
            for split in ("train", "val", "test")
        }

    @property
    def fingerprint(self) -> str:
        """A digest of all examples, in the order of their classes."""
        digest = hashlib.sha256()
        for split, x in self._x.items():
            digest.update(repr((split, x.shape, self._splits[split].counts.tolist())).encode())
            digest.update(np.ascontiguousarray(x).data)
        return digest.hexdigest()

    def prepare(self) -> None:
        """Do nothing: the arrays are there."""

    def setup(self) -> None:
        """Do nothing: the arrays are there."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task: classes without replacement, then examples of each.

        Raises:
            TaskSizeError: the split has fewer classes, or fewer examples of one.
        """
        counts = self._splits[split].counts
        if ways > len(counts):
            raise TaskSizeError(f"{split} has {len(counts)} classes, and a task asks for {ways}")
        if shots + query_shots > counts.min():
            raise TooFewImages(
                f"a {split} task takes {shots} support and {query_shots} query examples of a class, and"
                f" one of them has {counts.min()}"
            )
        return self._splits[split].draw(self._x[split], rng, ways, shots, query_shots)


def as_examples(x: Any, what: str) -> np.ndarray:
    """Return examples, (n, ...), as bytes or as float32.

    Raises:
        ValueError: they are neither, or not all finite.
    """
    array = np.asarray(x)
    if array.dtype == np.uint8:
        return array
    if array.ndim < 1 or not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{what} holds {array.dtype} of shape {array.shape}: give examples, (n, ...), as uint8 or"
            " as floats"
        )
    check_finite(array, f"{what} holds")
    return array.astype(np.float32, copy=False)


def check_finite(array: np.ndarray, what: str) -> None:
    """Make sure that an array has numbers alone; `what` says whose it is, with its verb.

    Raises:
        ValueError: one is infinite, or none.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{what} NaN or infinity: give finite numbers")
