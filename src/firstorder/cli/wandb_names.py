"""What Weights & Biases calls a run: what it is of, what differs from its defaults, its seed."""

from collections.abc import Iterable

from hydra.core.hydra_config import HydraConfig

from firstorder.results.neutral import counts
from firstorder.run.checkpoint import TRAINED

CHOSEN = {"experiment", "algo", "data"}  # groups of the config that a name starts with
CHANGE_NOTHING = {"logger", "sweep", "seed", "plugins"}  # nor do these tell runs apart


def wandb_group() -> str:
    """Return what runs are called that differ in nothing but their seed and in what moves no number.

    That of an evaluation starts with the group of the training, which only its checkpoint knows.
    """
    hydra = HydraConfig.get()
    choices = hydra.runtime.choices
    if "algo" not in choices:
        start, said = TRAINED, set()
    elif experiment := choices.get("experiment"):
        start, said = str(experiment), {"experiment"}
    else:
        start, said = f"{choices['algo']}_{choices['data']}", CHOSEN
    return ",".join([start, *differences(hydra.overrides.task, said)])


def wandb_name(group: str | None, seed: int) -> str | None:
    """Return what a run is called among those of its group; without one, W&B finds a name."""
    if group is None:
        return None
    return f"{'eval ' if group.startswith(TRAINED) else ''}{group},seed={seed}"


def differences(overrides: Iterable[str], said: Iterable[str] = ()) -> list[str]:
    """Return the overrides that move a number, the last one of each key, sorted by key.

    Args:
        overrides: as on the command line.
        said: keys that the name tells anyway.
    """
    last = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    return [last[key] for key in sorted(last) if key not in {*said} and tells(key)]


def tells(key: str) -> bool:
    """Tell whether an override belongs into a group's name; `scale` shortens what it is set for."""
    if key in CHANGE_NOTHING or key.startswith(("hydra", "sweep/")):
        return False
    return key == "scale" or key.endswith("_seed") or counts(key)
