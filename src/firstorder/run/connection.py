"""Weights & Biases: online where an API key is configured and a server answers, else offline."""

import logging
import os
from typing import TYPE_CHECKING, Any

import requests
from lightning.fabric.utilities.rank_zero import rank_zero_only

if TYPE_CHECKING:
    import wandb

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds to wait for a first answer; W&B itself would try for minutes
LAST_PATIENCE = (
    "30"  # seconds to wait at the end of a run for what is not uploaded; W&B would wait on
)


@rank_zero_only
def start(**how: Any) -> "wandb.Run":
    """Start a run online, or offline where there is no account or no answer."""
    import wandb

    os.environ.setdefault("WANDB_FINISH_TIMEOUT", LAST_PATIENCE)
    if not is_offline():
        if (answer := reach_server()) is None:
            try:
                return wandb.init(**how)
            except wandb.errors.CommError as error:
                wandb.teardown()  # the run that failed still holds its id
                answer = " ".join(str(error).split())
        logger.warning(
            "Weights & Biases cannot be reached, so this run is kept offline: %s", answer
        )
    return wandb.init(**how, mode="offline", settings=wandb.Settings(silent=True))


def is_offline() -> bool:
    """Tell whether Weights & Biases should write to disk only."""
    import wandb

    mode = os.environ.get("WANDB_MODE")
    return mode == "offline" if mode else not wandb.login(prompt=False, verify=False)


def reach_server() -> str | None:
    """Return why the server does not answer, None where it does (or none is wanted)."""
    import wandb

    if os.environ.get("WANDB_MODE", "online") != "online":
        return None
    try:
        requests.head(wandb.setup().settings.base_url, timeout=PATIENCE)
    except requests.RequestException as error:
        return type(error).__name__
    return None
