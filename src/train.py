"""Meta-train an initialisation, then evaluate it: python src/train.py algo=reptile data=omniglot."""

import firstorder.starting  # noqa: F401 # isort: skip

from lightning import seed_everything
from omegaconf import DictConfig

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import entry, run_folder
from firstorder.cli.departures import report_departures
from firstorder.cli.resuming import read_resumable
from firstorder.run.final_test import final_test
from firstorder.run.run import Run


@entry("train")
def main(cfg: DictConfig) -> float | None:
    """Compose, fit, evaluate, write what was found into the run folder; return the objective."""
    report_departures(cfg)
    config, folder = plain(cfg), run_folder(cfg)
    checkpoint = read_resumable(cfg) if cfg.ckpt_path else None
    with Run(folder, config, checkpoint=checkpoint) as run:
        seed_everything(cfg.seed, verbose=False)
        learner, datamodule = assemble(cfg, config)
        trainer = run.trainer(learner, datamodule)
        run.train(trainer, learner, datamodule)
        final_test(run, trainer, learner, datamodule)
    return learner.objective(cfg.objective)


if __name__ == "__main__":
    main()
