"""Write the table of settings, docs/settings.md, from the configs and the classes they build.

python docs/settings.py [--check]
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from firstorder.algo.evaluation import EvaluationSettings
from firstorder.cli import resolvers
from firstorder.cli.schema import DataConfig, TopConfig, WandbConfig, register
from firstorder.places import CONF
from firstorder.plugins import trust
from firstorder.run.building import class_at
from firstorder.run.trainer import TrainerConfig
from firstorder.settings import shown

assert resolvers  # importing it registers what configs compute
PAGE = Path(__file__).with_name("settings.md")
NODES = {"": TopConfig, "data": DataConfig, "eval": EvaluationSettings, "trainer": TrainerConfig,
         "logger.wandb": WandbConfig}  # fmt: skip
GROUPS = {"algo": "algo", "data": "data.source", "model": "model"}
FIRST = {"algo": "reptile"}  # whose settings the others share
HEAD = """# Settings

<!-- made by docs/settings.py from conf/ and the classes that it builds -->

Every setting of `python src/train.py` (`firstorder train`), with the value that it has unless you, the
data's file, or an experiment set it. Where several say a value, the later wins: the class's default,
then that published for the data (the second table), the algorithm's file, an experiment's, and the
command line. `python src/train.py --cfg job --resolve ...` shows what a run would have. The
groups `experiment=`, `sweep=`, `regularise=` and `logger=` set several of them at once: README, [the
paper](paper.md), [regularisation](regularisation.md).
"""


def described(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each argument."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        text = cleandoc(each.__doc__ or "")
        for section in re.findall(
            r"^(?:Args|Attributes):\n(.*?)(?=^\S|\Z)", text, flags=re.M | re.S
        ):
            entries = re.findall(
                r"^    (\w[\w, ]*): (.*?)(?=^    \w|\Z)", section, flags=re.M | re.S
            )
            for names, words in entries:
                for name in names.split(","):
                    found[name.strip()] = " ".join(words.split())
    return found


def rows(
    prefix: str, node: Mapping[str, Any], words: Mapping[str, str], written: Mapping[str, Any] = {}
) -> Iterator[str]:
    """Yield a row for each value of a node of a config; `written` is the node before it was resolved."""
    for name, value in node.items():
        is_inner = isinstance(value, Mapping) and value
        if name.startswith("_") or is_inner or (name not in words and not prefix):
            continue
        text = "{}" if value == {} else shown(value)
        default = f"`{text}`" if text else ""
        if "${source:" in str(written.get(name)):
            default = "of the data"
        meaning = words.get(name, "").replace("|", "\\|")
        yield f"| `{prefix}{name}` | {default} | {meaning} |"


def table(title: str, lines: Iterable[str]) -> str:
    """Return a section with a table."""
    return (
        "\n".join([f"\n## {title}\n", "| Key | Default | Means |", "|---|---|---|", *lines]) + "\n"
    )


def config(*overrides: str) -> DictConfig:
    """Return a composed config."""
    given = ["logger.wandb.group=null", "logger.wandb.name=null", "data.root=data", *overrides]
    if "data=learn2learn" in overrides:
        given.append("data.source.factory=package.module:function")
    if "data=arrays" in overrides:  # whose sizes are those of files that only a reader has
        given += ["model.inputs=1", "model.outputs=1"]
    if "model=transformer" in overrides:  # which takes sequences of words
        given.append("data=topics")
    return compose("train", given)


def plain(node: DictConfig, *, resolve: bool = True) -> Any:
    """Return a node as plain values, or as its files write them."""
    return OmegaConf.to_container(node, resolve=resolve)


def published() -> str:
    """Return the values that each data set's file sets, a column a data set."""
    keys = [
        "data.ways", "data.shots", "data.train_shots", "algo.inner_steps", "algo.inner_batch_size",
        "algo.inner_lr", "algo.inner_optimizer", "algo.meta_batch_size", "eval.inner_steps",
        "eval.inner_batch_size", "trainer.max_steps",
    ]  # fmt: skip
    names = sorted(path.stem for path in (CONF / "data").glob("*.yaml"))
    found = {name: config(f"data={name}") for name in names}
    lines = [
        f"| Key | {' | '.join(f'`data={name}`' for name in names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for key in keys:
        values = (shown(OmegaConf.select(found[name], key)) for name in names)
        lines.append(f"| `{key}` | {' | '.join(values)} |")
    return "\n## What the data's files set\n\n" + "\n".join(lines) + "\n"


def page() -> str:
    """Return the whole page."""
    register()
    trust(["package.module"])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        whole = config()
        parts = [HEAD]
        for key, kind in NODES.items():
            node: Any = plain(OmegaConf.select(whole, key) if key else whole)
            lines = rows(f"{key}." if key else "", node, described(kind))
            parts.append(table(f"`{key}.*`" if key else "At the top", lines))
        parts.insert(2, published())
        for group, key in GROUPS.items():
            names = [path.stem for path in (CONF / group).glob("*.yaml")]
            first = FIRST.get(group)
            known: set[str] = set()
            for name in sorted(names, key=lambda name: (name != first, name)):
                node = OmegaConf.select(config(f"{group}={name}"), key)
                kind = class_at(key, node._target_)
                written = plain(node, resolve=False)
                found = rows(f"{key}.", plain(node), described(kind), written)
                lines = [row for row in found if row not in known]
                if name == first:
                    known = {*lines}
                differs = (
                    f": what is not as with `{group}={first}`" if known and name != first else ""
                )
                if lines:
                    parts.append(table(f"`{group}={name}`{differs}", lines))
    return "".join(parts)


if __name__ == "__main__":
    text = page()
    if "--check" in sys.argv and PAGE.read_text() != text:
        sys.exit("docs/settings.md lags behind the configs: run python docs/settings.py")
    PAGE.write_text(text)
