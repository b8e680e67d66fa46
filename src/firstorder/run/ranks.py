"""The ranks of a run: who started them, how they average, and how none of them outlives the others."""

import os
import sys
import threading
import time
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed
from torch.utils._pytree import tree_flatten, tree_unflatten

PATIENCE = timedelta(minutes=10)  # for a rank that still runs, but does not answer
Tree = TypeVar("Tree")


class LostRankError(ValueError):
    """Another rank has ended, or cannot be reached."""

    def __init__(self) -> None:
        super().__init__(
            "another rank has ended or cannot be reached: what it said itself tells why; go on from the"
            " last checkpoint with resume=auto or ckpt_path="
        )


def is_lost_rank(error: BaseException | None) -> bool:
    """Tell whether an error is torch.distributed's for a rank that no longer answers."""
    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)  # it raises nothing narrower


def started_by() -> ClusterEnvironment | None:
    """Return what has started this process as one of several ranks: torchrun or srun, None for neither.

    Raises:
        ValueError: srun did so in a way that cannot be counted.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment() if int(os.environ["WORLD_SIZE"]) > 1 else None
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # set by srun, and not by sbatch
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:
            raise ValueError(f"srun: {error}") from None
    return None


def environment() -> ClusterEnvironment:
    """Return how the ranks of a run find each other.

    Not by Lightning's own guess, which takes every process of a SLURM job for a rank that srun has
    started, and puts the job back into the queue by itself.
    """
    elastic = TorchElasticEnvironment.detect()
    return started_by() or (TorchElasticEnvironment() if elastic else LightningEnvironment())


@cache  # Lightning takes its variables away when it is done
def this_rank() -> int:
    """Return the number of this process among the ranks of its run, 0 where it is alone."""
    if cluster := started_by():
        return cluster.global_rank()
    return int(os.environ.get("LOCAL_RANK", 0)) if "WORLD_SIZE" in os.environ else 0


class Ranks(DDPStrategy):
    """Lightning's DDP without the wrapper that averages gradients after each backward pass.

    The learner averages directions itself, in one message. Here all ranks start from the weights of the
    first.
    """

    def __init__(self) -> None:
        super().__init__(cluster_environment=environment(), timeout=PATIENCE)

    def setup_environment(self) -> None:
        if isinstance(self.cluster_environment, LightningEnvironment) and self.local_rank > 0:
            threading.Thread(target=follow, args=(os.getppid(),), daemon=True).start()
        super().setup_environment()

    def configure_ddp(self) -> None:
        assert self.model is not None
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            distributed.broadcast(tensor.detach(), 0)


def follow(parent: int) -> None:
    """End this rank when the first one has, which started it: a GPU would wait for it without end."""
    while os.getppid() == parent:
        time.sleep(1)
    print("error: the first rank has ended, and so does this one", file=sys.stderr, flush=True)
    os._exit(1)


def average_over_ranks(tree: Tree, weight: float) -> Tree:
    """Return the mean of each tensor over the ranks, in one message for all.

    Args:
        tree: named tuples, dicts and so on of floating-point tensors, alike on all ranks.
        weight: this rank's part of the mean; those of all ranks add up to 1.

    Raises:
        RuntimeError: a rank does not answer, see `is_lost_rank`.
    """
    tensors, spec = tree_flatten(tree)
    flat = weight * torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(flat)
    pieces = flat.split([tensor.numel() for tensor in tensors])
    means = [p.view(t.shape).to(t.dtype) for p, t in zip(pieces, tensors, strict=True)]
    return tree_unflatten(means, spec)
