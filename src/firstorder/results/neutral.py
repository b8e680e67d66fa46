"""Settings that runs may differ in and still be averaged."""

from collections.abc import Iterator, Mapping
from typing import Any

from firstorder.results.label import KEY

# Settings that move no number, or that only say how much is evaluated: runs that differ in these
# alone are of one group. All else that differs makes another group.
NEUTRAL = {
    "allow_changes", "ckpt_path", "resume", "plugins", "scale", "data.source.download",
    "data.on_device", "trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy",
    "trainer.threads", "trainer.convolutions", "trainer.log_every", "trainer.checkpoint_every",
    "trainer.checkpoint_minutes", "trainer.checkpoints_kept", "trainer.deterministic",
    "trainer.progress", "trainer.compile", "eval.tasks", "eval.batch",
    "eval.curve_tasks", "eval.parallel",
}  # fmt: skip
NEUTRAL_PREFIXES = ("logger.", "hydra.", "eval.monitor_", f"{KEY}.")
NEUTRAL_NAMES = ("root", "mirror", "workers", "objective")  # wherever they stand


def counts(key: str) -> bool:
    """Tell whether a setting distinguishes runs; seeds do not."""
    name = key.rpartition(".")[2]
    return not (
        key in NEUTRAL
        or key.startswith(NEUTRAL_PREFIXES)
        or name in NEUTRAL_NAMES
        or name.endswith("seed")
    )


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a config's leaves as (dotted key, value)."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
