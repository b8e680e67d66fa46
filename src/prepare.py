"""Fetch a data set and build its cache ahead of a run: python src/prepare.py data=omniglot."""

import firstorder.starting  # noqa: F401 # isort: skip

from omegaconf import DictConfig

from firstorder.cli.assembly import build
from firstorder.cli.commands import entry
from firstorder.data.source import TaskSource


@entry("prepare")
def main(cfg: DictConfig) -> None:
    """Prepare the data source of a training run."""
    source: TaskSource = build(cfg, "data.source")
    source.prepare()
    source.setup()
    print(f"{source.name} is ready")


if __name__ == "__main__":
    main()
