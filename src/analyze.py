"""Answer a question of the paper by numbers: python src/analyze.py analysis=expansion."""

import firstorder.starting  # isort: skip

import time

from lightning import seed_everything
from omegaconf import DictConfig

import firstorder.analysis
from firstorder.analysis.base import Analysis
from firstorder.cli.assembly import build
from firstorder.cli.commands import entry, run_folder
from firstorder.cli.schema import register_package
from firstorder.figures.style import save
from firstorder.folders import filling
from firstorder.results.markdown import markdown

register_package(firstorder.analysis, lambda cls: issubclass(cls, Analysis))


@entry("analyze")
def main(cfg: DictConfig) -> None:
    """Measure, and write table.json, summary.md and a figure into the run folder."""
    folder, start = run_folder(cfg), time.perf_counter()
    seed_everything(cfg.seed, verbose=False)
    analysis: Analysis = build(cfg, "analysis")
    table = analysis.measure()
    summary = markdown(analysis.summarise(table))
    with filling(folder) as draft:
        table.to_json(draft / "table.json", orient="records", indent=1, double_precision=15)
        (draft / "summary.md").write_text(summary)
        save(analysis.draw(table), draft / type(analysis).__name__.lower())
    print(summary)
    print(f"measured in {time.perf_counter() - start:.0f} s; results in {folder}")


if __name__ == "__main__":
    main()
