"""Settings that runs may differ in and still be averaged."""

from collections.abc import Iterator, Mapping
from typing import Any

from firstorder.results.label import KEY

# Settings that change neither the weights nor the scores: a run goes on under others of them, and its
# folder is not named by them. Where the data lies is one, but it is in the name where it is given.
INERT = (
    "allow_changes", "ckpt_path", "plugins", "resume", "data.mirror", "data.on_device", "data.workers",
    "eval.batch", "eval.parallel", "eval.train_tasks", "trainer.progress", "trainer.threads",
    "trainer.compile", "trainer.convolutions", "trainer.log_every", "trainer.checkpoint_every",
    "trainer.checkpoint_minutes", "trainer.checkpoints_kept",
)  # fmt: skip
INERT_PREFIXES = ("logger.", f"{KEY}.")
INERT_NAMES = ("root", "mirror", "workers", "download")  # wherever they stand
# Settings that only say on what it runs or how much is evaluated: runs that differ in these are of one
# group still. All else that differs makes another group.
NEUTRAL = (
    "objective", "scale", "trainer.accelerator", "trainer.devices", "trainer.num_nodes",
    "trainer.strategy", "trainer.deterministic", "eval.tasks", "eval.curve_tasks",
)  # fmt: skip
NEUTRAL_PREFIXES = ("hydra.", "eval.monitor_")
# Settings of the source that only training and validation see: test images are as they are.
OF_TRAINING = ("data.source.augment", "data.source.rotations", "data.source.validation_classes")
# Settings that came later: what runs without them did, and a setting that such runs have.
LATER = {
    "algo.inner_state": ("flows", "algo.inner_lr"),
    "algo.label_smoothing": (0.0, "algo.inner_lr"),
    "model.dropout": (0.0, "model.conv_bias"),
    "model.blocks": (4, "model.conv_bias"),
    "eval.shared_head": (False, "eval.inner_steps"),
    "eval.permutations": (1, "eval.inner_steps"),
}


def is_inert(key: str) -> bool:
    """Tell whether a setting changes neither the weights nor the scores."""
    name = key.rpartition(".")[2]
    return key in INERT or key.startswith(INERT_PREFIXES) or name in INERT_NAMES


def counts(key: str) -> bool:
    """Tell whether a setting distinguishes runs; seeds do not."""
    is_neutral = key in NEUTRAL or key.startswith(NEUTRAL_PREFIXES)
    return not (is_inert(key) or is_neutral or key.endswith("seed"))


def moves_test_tasks(key: str) -> bool:
    """Tell whether a setting of the source decides which test tasks a run has; seeds do."""
    return key not in OF_TRAINING and (counts(key) or key.endswith("seed"))


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
