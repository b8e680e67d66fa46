"""Make tables, figures and a page of runs: python src/report.py runs=[outputs] out=docs/results."""

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from firstorder.cli.commands import entry
from firstorder.results.report import ReportSettings, write_report

ConfigStore.instance().store(group="schema", name="report", node=ReportSettings)


@entry("report")
def main(cfg: DictConfig) -> None:
    """Write the report, and say what it counts and what it leaves out."""
    settings = OmegaConf.to_object(cfg)
    assert isinstance(settings, ReportSettings)
    found = write_report(settings)
    for name, reason in found.left_out:
        print(f"left out: {name}: {reason}")
    print(f"{len(found.runs)} runs are reported in {settings.out}/report.html")


if __name__ == "__main__":
    main()
