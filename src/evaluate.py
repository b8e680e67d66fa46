"""Evaluate a checkpoint: python src/evaluate.py ckpt_path=outputs/.../checkpoints/last.ckpt."""

import firstorder.starting  # noqa: F401 # isort: skip

from lightning import seed_everything
from omegaconf import DictConfig

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import entry, run_folder
from firstorder.run.checkpoint import as_trained, read_checkpoint
from firstorder.run.final_test import final_test
from firstorder.run.run import Run


@entry("evaluate")
def main(cfg: DictConfig) -> float | None:
    """Rebuild the run that wrote the checkpoint, with what is overridden, test it, return the score."""
    checkpoint = read_checkpoint(cfg.ckpt_path)
    cfg = as_trained(cfg, checkpoint["config"])
    config, folder = plain(cfg), run_folder(cfg)
    with Run(folder, config, checkpoint=checkpoint, job_type="eval") as run:
        seed_everything(cfg.seed, verbose=False)
        learner, datamodule = assemble(cfg, config, trains=False)
        learner.restore(checkpoint)
        datamodule.load_state_dict(datamodule.state_in(checkpoint))
        final_test(run, run.trainer(learner, datamodule), learner, datamodule)
    return learner.objective("test")


if __name__ == "__main__":
    main()
