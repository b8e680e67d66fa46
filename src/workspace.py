"""Save a Weights & Biases workspace for the runs of a project: python src/workspace.py entity=me."""

import firstorder.starting  # noqa: F401 # isort: skip

from omegaconf import DictConfig

from firstorder.cli.assembly import plain
from firstorder.cli.commands import entry
from firstorder.run.workspace import WorkspaceSettings, save_workspace


@entry("workspace")
def main(cfg: DictConfig) -> None:
    """Save the panels that docs/wandb.md describes, and say where they are."""
    print(f"the workspace is at {save_workspace(WorkspaceSettings(**plain(cfg)))}")


if __name__ == "__main__":
    main()
