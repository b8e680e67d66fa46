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
    "eval.curve_tasks", "eval.train_tasks", "eval.parallel",
}  # fmt: skip
# Settings that came later: what runs without them did, and a setting that such runs have.
LATER = {
    "algo.inner_state": ("flows", "algo.inner_lr"),
    "algo.label_smoothing": (0.0, "algo.inner_lr"),
    "model.dropout": (0.0, "model.conv_bias"),
    "eval.shared_head": (False, "eval.inner_steps"),
    "eval.permutations": (1, "eval.inner_steps"),
}
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


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's leaves by their dotted keys, with those that came after it was written."""
    leaves = dict(flatten(config))
    later = {key: value for key, (value, beside) in LATER.items() if beside in leaves}
    return {**later, **leaves}
