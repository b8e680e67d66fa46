"""Ranks that torchrun or srun has started agree on one run folder, as each has a clock of its own.

Those that Lightning starts are given their folder by the first.
"""

import os
from datetime import datetime, timedelta
from typing import Any

from firstorder.run.ranks import started_by

PATIENCE = timedelta(minutes=5)  # machines of one job don't start at the same moment
PARALLEL = ("train", "evaluate")  # the commands that share their work among ranks


class Launch:
    """What the ranks of this call of a command have in common.

    Attributes:
        ranks: how many torchrun or srun has started, 1 for neither.
        time: when the first of them began.
    """

    def __init__(self) -> None:
        self.ranks, self.time = 1, datetime.now()
        self._store: Any = None  # lives on: the ranks' process group is made through it

    def join(self, command: str) -> None:
        """Meet the other ranks.

        Raises:
            ValueError: the command's work cannot be shared, or a rank does not come.
        """
        cluster = started_by()
        if cluster is None:
            return
        self.ranks = cluster.world_size()
        if command not in PARALLEL:
            raise ValueError(
                f"this command runs in one process and {self.ranks} were started: leave out torchrun"
                " or srun"
            )
        from torch.distributed.rendezvous import rendezvous

        os.environ["MASTER_ADDR"] = cluster.main_address
        os.environ["MASTER_PORT"] = str(cluster.main_port)
        try:
            meet = rendezvous("env://", cluster.global_rank(), self.ranks, timeout=PATIENCE)
            self._store, rank, _ = next(meet)
            if rank == 0:
                self._store.set("firstorder/time", self.time.isoformat())
            self.time = datetime.fromisoformat(self._store.get("firstorder/time").decode())
        except RuntimeError as error:  # torch.distributed's own are all of this kind
            raise ValueError(
                f"the {self.ranks} ranks do not find each other at {cluster.main_address}:"
                f"{cluster.main_port} ({error})"
            ) from error


launch = Launch()


def started(pattern: str) -> str:
    """Return when this call of a command began, the same on all ranks, as strftime writes it."""
    return launch.time.strftime(pattern)
