"""The one record that carries a few-shot task from the data to the mathematics."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Episode(NamedTuple):
    """One task, or a batch of tasks where every field has a leading axis of tasks.

    Attributes:
        support_x: inputs to learn from, (n, C, H, W) uint8 images or (n, inputs) float32; for
            classification n = ways x shots.
        support_y: (n,) int64 labels 0..ways-1 in the order of draw, or (n, outputs) float32 targets.
        query_x: held-out inputs, (m, ...) of the same form; m is 0 where none are asked for.
        query_y: their labels or targets.
        batch_indices: (steps, batch) int64, the mini-batches as rows of indices into the support set.
        noise_seed: () int64, seeds what a network draws at random on this task, such as dropout.
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    batch_indices: Tensor
    noise_seed: Tensor

    def to_float(self, dtype: torch.dtype = torch.float32) -> "Episode":
        """Return the episode in floating point, uint8 images scaled to [0, 1]."""

        def cast(x: Tensor) -> Tensor:
            if x.dtype == torch.int64:  # labels and indices
                return x
            return (x / 255 if x.dtype == torch.uint8 else x).to(dtype)

        return Episode(*map(cast, self))

    def support_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut the support set into its mini-batches, (inputs, labels); of each task, where batched."""
        indices = self.batch_indices
        tasks = (
            ()
            if indices.dim() == 2
            else (torch.arange(len(indices), device=indices.device)[:, None],)
        )
        for rows in indices.unbind(-2):
            yield self.support_x[*tasks, rows], self.support_y[*tasks, rows]

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut the task into L_1, ..., L_k: the support set's mini-batches, then the separate tail."""
        yield from self.support_batches()
        if self.query_y.numel():
            yield self.query_x, self.query_y

    def task(self, index: int) -> "Episode":
        """Take one task out of a batch of them."""
        return Episode(*(field[index] for field in self))
