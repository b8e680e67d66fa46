"""Evaluate a checkpoint: python src/evaluate.py ckpt_path=outputs/.../checkpoints/last.ckpt."""

from lightning import seed_everything
from omegaconf import DictConfig

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import entry, run_folder
from firstorder.run.checkpoint import as_trained, read_checkpoint
from firstorder.run.final_test import final_test
from firstorder.run.loggers import recording
from firstorder.run.objective import test_objective
from firstorder.run.trainer import TrainerConfig, build_trainer


@entry("evaluate")
def main(cfg: DictConfig) -> float:
    """Rebuild the run that wrote the checkpoint, with what is overridden, test it, return the score."""
    checkpoint = read_checkpoint(cfg.ckpt_path)
    cfg = as_trained(cfg, checkpoint["config"])
    config, folder = plain(cfg), run_folder(cfg)
    seed_everything(cfg.seed, verbose=False)
    learner, datamodule = assemble(cfg, config)
    learner.load_state_dict(checkpoint["state_dict"])
    with recording(folder, learner, datamodule, config, job_type="eval") as record:
        test = final_test(
            build_trainer(folder, record.loggers, TrainerConfig(**config["trainer"])),
            learner, datamodule, record, folder,
            config=config, steps=checkpoint["global_step"], train_seconds=0.0,
        )  # fmt: skip
    return test_objective(test)


if __name__ == "__main__":
    main()
