"""Where weights come from: what their checkpoint remembers of the run that trained them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback

from firstorder.run.journal import Journal, read_journal

REMEMBERED = ("commit", "dirty", "command", "wandb_id")


class Origin(Callback):
    """Keep the code, the command and the Weights & Biases run of a training in its checkpoints."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def state_dict(self) -> dict[str, Any]:
        return told_by(self.journal)


def told_by(journal: Journal | None) -> dict[str, Any]:
    """Return what is remembered of a run; None where it is unknown."""
    return {name: getattr(journal, name, None) for name in REMEMBERED}


def origin_of(checkpoint: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Return what is known of the run that wrote a checkpoint.

    That is {"commit", "dirty", "command", "wandb_id"}; of an older checkpoint, what run.json says in the
    run folder that it lies in.
    """
    known: dict[str, Any] | None = checkpoint.get("callbacks", {}).get(Origin.__name__)
    return known or told_by(read_journal(Path(path).resolve().parents[1]))
