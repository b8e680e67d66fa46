"""Reproduce the paper, whole or a fraction of it: python src/paper.py scale=0.01 seeds=[0]."""

import firstorder.starting  # noqa: F401 # isort: skip

from omegaconf import DictConfig

from firstorder.cli.assembly import plain
from firstorder.cli.commands import entry
from firstorder.cli.paper import run_paper
from firstorder.cli.paper_settings import PaperSettings
from firstorder.places import CONF


@entry("paper")
def main(cfg: DictConfig) -> None:
    """Run what is missing of the experiments, then write the report.

    Raises:
        ValueError: a part failed; the others have run, and the report shows what there is.
    """
    settings = PaperSettings(**plain(cfg))
    failed = run_paper(settings, CONF)
    if failed:
        raise ValueError(
            f"{len(failed)} parts failed, see above: {', '.join(failed)}; the same command goes on"
        )
    print(f"the report is in {settings.out}/report.html")


if __name__ == "__main__":
    main()
