"""Meta-train an initialisation, then evaluate it: python src/train.py algo=reptile data=omniglot."""

import time

from lightning import seed_everything
from omegaconf import DictConfig

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import entry, run_folder
from firstorder.run.checkpoint import check_resumable
from firstorder.run.final_test import final_test
from firstorder.run.loggers import recording
from firstorder.run.objective import test_objective, validation_objective
from firstorder.run.trainer import LAST, TrainerConfig, build_trainer


@entry("train")
def main(cfg: DictConfig) -> float | None:
    """Compose, fit, evaluate, write what was found into the run folder; return the objective."""
    config, folder = plain(cfg), run_folder(cfg)
    if cfg.ckpt_path:
        check_resumable(cfg.ckpt_path, config)
    seed_everything(cfg.seed, verbose=False)
    learner, datamodule = assemble(cfg, config)
    with recording(folder, learner, datamodule, config) as record:
        trainer = build_trainer(
            folder, record.loggers, TrainerConfig(**config["trainer"]),
            monitor_every=cfg.eval.monitor_every,
        )  # fmt: skip
        start = time.perf_counter()
        trainer.fit(learner, datamodule, ckpt_path=cfg.ckpt_path)
        seconds = time.perf_counter() - start
        trainer.save_checkpoint(folder / "checkpoints" / LAST)
        validated = validation_objective(trainer.callback_metrics)
        test = final_test(
            trainer, learner, datamodule, record, folder,
            config=config, steps=trainer.global_step, train_seconds=seconds,
        )  # fmt: skip
    if cfg.objective == "test":
        return test_objective(test)
    return validated if cfg.objective == "val" else None


if __name__ == "__main__":
    main()
