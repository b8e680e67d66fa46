"""The law of settings: a value that a setting's declaration forbids ends in one sentence with its key.

What each setting allows is written down here a second time, by hand, so that the test knows it from
elsewhere than the code.
"""

import copy
import math
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

import firstorder.analysis
from firstorder.cli.commands import USER_ERRORS
from firstorder.cli.messages import message
from firstorder.cli.schema import register, register_package
from firstorder.cli.validation import check_ranks, validate
from firstorder.places import CONF
from firstorder.plugins import trust_overrides
from tests.conftest import arrays_of_tasks

VALUES = [-1, 0, 1e30, math.nan, math.inf, "text", None, [1, 2]]

# What a setting allows of these values, and never more.
COUNT: list[Any] = []
COUNT_OR_ZERO = [0]
POSITIVE = [1e30]  # finite and above 0
NOT_NEGATIVE = [0, 1e30]
SHARE = [0]  # of a whole
NUMBER = [-1, 0, 1e30]
# OmegaConf writes numbers as text where text is wanted; "nan" may be a name.
TEXT = [-1, 0, 1e30, math.nan, math.inf, "text"]
CHOICE: list[Any] = []
YES_OR_NO = [-1, 0]  # as OmegaConf reads numbers
MAPPING = [None]

ALLOWED: dict[str, list[Any]] = {
    "seed": COUNT_OR_ZERO,
    "runs": CHOICE,
    "out": ["text"],
    "include_*": CHOICE,
    "compare": CHOICE,
    "smoothing": [0],
    "support": TEXT,
    "query": TEXT,
    "together": YES_OR_NO,
    "sine_ckpt_path": [*TEXT, None],
    "export": [*TEXT, None],
    "port": [0],
    "entity": [*TEXT, None],
    "project": TEXT,
    "ckpt_path": [*TEXT, None],
    "objective": [None],
    "resume": CHOICE,
    "allow_changes": YES_OR_NO,
    "scale": [],
    "label": [None],
    "plugins": [],
    "split": CHOICE,
    "episodes": COUNT,
    "query_shots": COUNT,
    "trainer.max_steps": COUNT_OR_ZERO,
    "trainer.accelerator": CHOICE,
    "trainer.devices": COUNT,
    "trainer.num_nodes": COUNT,
    "trainer.strategy": CHOICE,
    "trainer.precision": CHOICE,
    "trainer.threads": [None],
    "trainer.log_every": COUNT,
    "trainer.checkpoint_every": COUNT,
    "trainer.checkpoint_minutes": [*POSITIVE, None],
    "trainer.checkpoints_kept": COUNT,
    "trainer.deterministic": YES_OR_NO,
    "trainer.progress": YES_OR_NO,
    "trainer.compile": CHOICE,
    "trainer.convolutions": CHOICE,
    "trainer.matmul": CHOICE,
    "data.ways": COUNT,
    "data.shots": COUNT,
    "data.train_shots": COUNT,
    "data.root": TEXT,
    "data.mirror": [*TEXT, None],
    "data.workers": COUNT_OR_ZERO,
    "data.on_device": CHOICE,
    "data.source.root": TEXT,
    "data.source.mirror": [*TEXT, None],
    "data.source.factory": CHOICE,
    "data.source.copy": [None],
    "data.source.image_size": COUNT,
    "data.source.channels": COUNT,
    "data.source.resize_filter": CHOICE,
    "data.source.rotations": YES_OR_NO,
    "data.source.download": YES_OR_NO,
    "data.source.skip_bad_images": YES_OR_NO,
    "data.source.validation_classes": COUNT_OR_ZERO,
    "data.source.split_seed": COUNT_OR_ZERO,
    "data.source.min_images": COUNT,
    "data.source.augment": [],
    "data.source.ratios": [],
    "data.source.images": CHOICE,
    "data.source.options": [None],
    "data.source.waves": COUNT,
    "data.source.task": CHOICE,
    "data.source.words": COUNT,
    "data.source.length": COUNT,
    "data.source.own": COUNT,
    "data.source.common": SHARE,
    "data.source.language_seed": COUNT_OR_ZERO,
    "data.source.loss": [None],
    "data.source.metric": [None],
    "data.source.*_options": [None],
    "data.source.group": [*TEXT, None],
    "data.source.targets": [[1, 2]],
    "data.source.standardise": YES_OR_NO,
    "data.source.min_examples": COUNT,
    "eval.tasks": COUNT,
    "eval.inner_steps": COUNT,
    "eval.inner_batch_size": COUNT,
    "eval.inner_lr": [*POSITIVE, None],
    "eval.query_shots": COUNT,
    "eval.monitor_tasks": COUNT,
    "eval.monitor_every": COUNT_OR_ZERO,
    "eval.monitor_split": CHOICE,
    "eval.curve_tasks": COUNT_OR_ZERO,
    "eval.train_tasks": COUNT_OR_ZERO,
    "eval.shared_head": YES_OR_NO,
    "eval.permutations": COUNT,
    "eval.batch": COUNT,
    "eval.parallel": YES_OR_NO,
    "algo.inner_steps": COUNT,
    "algo.inner_batch_size": COUNT,
    "algo.inner_lr": POSITIVE,
    "algo.inner_optimizer": CHOICE,
    "algo.inner_options": MAPPING,
    "algo.inner_state": CHOICE,
    "algo.outer_schedule": CHOICE,
    "algo.layers": [[1, 2]],
    "algo.loss_reduction": CHOICE,
    "algo.label_smoothing": SHARE,
    "algo.replacement": YES_OR_NO,
    "algo.tail_shots": COUNT_OR_ZERO,
    "algo.meta_batch_size": COUNT,
    "algo.parallel": YES_OR_NO,
    "algo.outer_lr": POSITIVE,
    "algo.outer_lr_final": NOT_NEGATIVE,
    "algo.outer_optimizer": CHOICE,
    "algo.outer_options": MAPPING,
    "algo.divide_by_inner_lr": YES_OR_NO,
    "algo.first_order": YES_OR_NO,
    "algo.average": YES_OR_NO,
    "algo.weights": [[1, 2]],
    "algo.proximal": POSITIVE,
    "algo.solver_steps": COUNT,
    "algo.multi_step": SHARE,
    "algo.first_order_share": SHARE,
    "model.num_classes": COUNT,
    "model.in_channels": COUNT,
    "model.image_size": COUNT,
    "model.filters": COUNT,
    "model.downsample": CHOICE,
    "model.conv_bias": YES_OR_NO,
    "model.inputs": COUNT,
    "model.outputs": COUNT,
    "model.hidden": [[1, 2]],
    "model.dropout": SHARE,
    "model.words": COUNT,
    "model.length": COUNT,
    "model.width": COUNT,
    "model.layers": COUNT,
    "model.heads": COUNT,
    "model.rank": COUNT_OR_ZERO,
    "model.blocks": COUNT_OR_ZERO,
    "model.widths": [],
    "model.drop": SHARE,
    "model.drop_size": COUNT,
    "model.w0": POSITIVE,
    "model.features": COUNT,
    "model.scale": POSITIVE,
    "logger.wandb": [None],
    "logger.wandb.project": TEXT,
    "logger.wandb.entity": [*TEXT, None],
    "logger.wandb.group": [*TEXT, None],
    "logger.wandb.name": [*TEXT, None],
    "analysis.loss_reduction": CHOICE,
    "analysis.ways": COUNT,
    "analysis.batch_shots": COUNT,
    "analysis.tasks": COUNT,
    "analysis.steps": [],
    "analysis.alphas": [[1, 2]],
    "analysis.seed": COUNT_OR_ZERO,
    "analysis.study": TEXT,
    "analysis.forests": COUNT,
    "seeds": [[1, 2]],
    "sweeps": [],
    "estimate_only": YES_OR_NO,
    "analysis.checkpoints": MAPPING,
    "analysis.outer_steps": COUNT,
    "analysis.shots": COUNT,
    "analysis.train_shots": COUNT,
    "analysis.counts": [[1, 2]],
    "analysis.task": COUNT_OR_ZERO,
    "analysis.batch_size": COUNT,
    "analysis.betas": [[1, 2]],
    "analysis.epsilons": [],
    "analysis.inner_steps": COUNT,
    "analysis.epochs": COUNT,
    "analysis.seeds": [[1, 2]],
    "analysis.points": COUNT,
    "analysis.step_sizes": [[1, 2]],
    "analysis.first": [],
    "analysis.second": [],
    "analysis.start": [[1, 2]],
    "analysis.steepness": POSITIVE,
    "analysis.iterations": COUNT,
    "*_target_": [],
}

DATA = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
ALGORITHMS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
ANALYSES = sorted(path.stem for path in (CONF / "analysis").glob("*.yaml"))
GIVEN = "logger.wandb.group=null"  # whose default only a running job can say
# Each command with all of its settings; and the other choices of a group with those that they bring.
COMMANDS = {
    "train": (["train", GIVEN], ""),
    "show": (["show", "logger=csv"], ""),
    "prepare": (["prepare", "logger=csv"], ""),
    "report": (["report"], ""),
    "paper": (["paper"], ""),
    "workspace": (["workspace"], ""),
    "adapt": (["adapt", "ckpt_path=last.ckpt", "support=a", "query=b"], ""),
    "demo": (["demo", "ckpt_path=last.ckpt"], ""),
    "evaluate": (["evaluate", "logger=csv", "ckpt_path=last.ckpt"], ""),
    **{f"analyze {name}": (["analyze", f"analysis={name}"], "analysis.") for name in ANALYSES},
    **{f"train data={name}": (["train", f"data={name}", GIVEN], "data.source.") for name in DATA},
    **{f"train algo={name}": (["train", f"algo={name}", GIVEN], "algo.") for name in ALGORITHMS},
    **{f"train model={name}": (["train", f"model={name}", GIVEN], "model.") for name in MODELS},
}


def composed(name: str, *overrides: str) -> DictConfig:
    """Compose a command's config, with its references resolved: they take most of the time."""
    if "analysis=importances" in overrides:
        overrides += ("analysis.study=study.db",)
    if "data=learn2learn" in overrides:
        overrides += ("data.source.factory=package.module:function",)
    if "model=transformer" in overrides:
        overrides += ("data=topics",)
    if "data=arrays" in overrides:
        overrides += (f"data.root={arrays_of_tasks()}",)
    trust_overrides(overrides)
    register()
    register_package(firstorder.analysis, lambda found: hasattr(found, "measure"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(name, list(overrides))
    OmegaConf.resolve(cfg)
    return cfg


def leaves(cfg: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the key of every value; an empty mapping is one."""
    for key in cfg:
        full, node = f"{prefix}{key}", cfg._get_node(key)
        if isinstance(node, DictConfig) and not node._is_none() and len(node):
            yield from leaves(node, f"{full}.")
        else:
            yield full


def allowed(key: str) -> list[Any]:
    """Return which of `VALUES` a setting takes; the parts of an analysis have their own names."""
    short = re.sub(r"^analysis\.algorithms\.\w+\.", "algo.", key)
    short = short.replace("analysis.source.", "data.source.").replace("analysis.model.", "model.")
    found = [values for pattern, values in ALLOWED.items() if fnmatch(short, pattern)]
    assert found, f"{key} is a new setting: write down in this test what it allows"
    return found[0]


def is_same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


def told(cfg: DictConfig, key: str, value: Any) -> str | None:
    """Set a value as the command line does; return what a user is told, None where it is taken."""
    try:
        OmegaConf.update(cfg, key, value)
        validate(cfg)
    except USER_ERRORS as error:
        return message(error)
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_a_forbidden_value_ends_in_one_sentence_with_its_key(command: str) -> None:
    overrides, part = COMMANDS[command]
    cfg = composed(*overrides)
    validate(cfg)
    for key in leaves(cfg):
        if not key.startswith(part):
            continue
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(cfg, parent) if parent else cfg
        before = copy.deepcopy(node._content[name])
        by_hand = command in ("adapt", "demo")  # null: as in training
        is_kept = command == "evaluate" or (by_hand and "." in key)
        takes = allowed(key) + ([None] if is_kept or (by_hand and key == "plugins") else [])
        for value in VALUES:
            if any(is_same(value, other) for other in takes):
                continue
            said = told(cfg, key, value)
            assert said is not None, f"{key}={value} is taken"
            assert key in said, f"{key}={value} is answered by: {said}"
            assert "\n" not in said
            node._content[name] = copy.deepcopy(before)
            node._content[name]._set_parent(node)
    validate(cfg)  # everything was put back


def test_only_training_needs_a_task_of_each_meta_batch_for_each_device() -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["algo.meta_batch_size=4", "trainer.devices=8"])
    with pytest.raises(ValueError, match="meta_batch_size=4 is too few for 8 devices"):
        check_ranks(cfg, trains=True)
    check_ranks(cfg, trains=False)
    cfg.eval.tasks = 7
    with pytest.raises(ValueError, match="tasks=7 is too few for 8 devices"):
        check_ranks(cfg, trains=False)
