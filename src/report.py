"""Make tables, figures and a page of runs: python src/report.py runs=[outputs] out=docs/results."""

import firstorder.starting  # noqa: F401 # isort: skip

from omegaconf import DictConfig

from firstorder.cli.assembly import plain
from firstorder.cli.commands import entry
from firstorder.results.report import write_report
from firstorder.results.settings import ReportSettings


@entry("report")
def main(cfg: DictConfig) -> None:
    """Write the report, and say what it counts and what it leaves out.

    Raises:
        ValueError: it leaves out damaged runs; it is written all the same.
    """
    settings = ReportSettings(**plain(cfg))
    written = write_report(settings)
    for name, reason in written.left_out:
        print(f"left out: {name}: {reason}")
    print(f"{len(written.runs)} runs are reported in {settings.out}/report.html")
    if written.damaged:
        raise ValueError(
            f"the report is without {', '.join(written.damaged)}, because a file in there is damaged, see"
            " above: evaluate the checkpoint anew with src/evaluate.py, or delete the folder"
        )


if __name__ == "__main__":
    main()
