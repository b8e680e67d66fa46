"""Meta-train an initialisation, then evaluate it: python src/train.py algo=reptile data=omniglot."""

import time

from lightning import seed_everything
from omegaconf import DictConfig

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import entry, run_folder
from firstorder.run.checkpoint import check_resumable
from firstorder.run.final_test import final_test
from firstorder.run.loggers import recording
from firstorder.run.trainer import LAST, build_trainer


@entry("train")
def main(cfg: DictConfig) -> None:
    """Compose, fit, evaluate, and write what was found into the run folder."""
    config, folder = plain(cfg), run_folder(cfg)
    if cfg.ckpt_path:
        check_resumable(cfg.ckpt_path, config)
    seed_everything(cfg.seed, verbose=False)
    learner, datamodule = assemble(cfg, config)
    with recording(folder, learner, datamodule, config) as record:
        trainer = build_trainer(
            folder, record.loggers, monitor_every=cfg.eval.monitor_every, **config["trainer"]
        )
        start = time.perf_counter()
        trainer.fit(learner, datamodule, ckpt_path=cfg.ckpt_path)
        seconds = time.perf_counter() - start
        trainer.save_checkpoint(folder / "checkpoints" / LAST)
        final_test(
            trainer, learner, datamodule, record, folder,
            config=config, steps=trainer.global_step, train_seconds=seconds,
        )  # fmt: skip


if __name__ == "__main__":
    main()
