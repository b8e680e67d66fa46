"""Names that say what a run is, and groups that a dashboard can average over."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import firstorder.cli.resolvers
from firstorder.cli.schema import register
from firstorder.cli.wandb_names import differences
from firstorder.places import CONF

assert firstorder.cli.resolvers  # registers what the configs compute
REPTILE = "reptile_glyphs"


def named(*overrides: str, command: str = "train") -> tuple[str, str]:
    """Return group and name as a running job composes them."""
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(command, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    try:
        return cfg.logger.wandb.group, cfg.logger.wandb.name
    finally:
        HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("overrides", "group"),
    [
        ([], REPTILE),
        (["data=sinusoid", "algo=fomaml"], "fomaml_sinusoid"),
        (["algo.inner_steps=3", "model=mlp"], f"{REPTILE},algo.inner_steps=3,model=mlp"),
        (["model=mlp", "algo.inner_steps=2", "algo.inner_steps=3"],
         f"{REPTILE},algo.inner_steps=3,model=mlp"),
        (["seed=4", "trainer.threads=1", "trainer.compile=never", "eval.tasks=9", "eval.batch=3",
          "eval.monitor_every=5", "eval.monitor_tasks=5", "eval.curve_tasks=0", "data.workers=2",
          "data.root=/elsewhere", "resume=auto", "objective=test", "hydra.run.dir=here",
          "logger.wandb.project=mine"], REPTILE),
        (["experiment=table1_5shot"], "table1_5shot"),
        (["experiment=table1_5shot", "scale=0.1", "eval.inner_steps=9"],
         "table1_5shot,eval.inner_steps=9,scale=0.1"),
        (["experiment=table1_5shot", "algo=fomaml", "data=cifarfs"],
         "table1_5shot,algo=fomaml,data=cifarfs"),
    ],
)  # fmt: skip
def test_a_group_is_what_moves_a_number_and_not_the_seed(overrides: list[str], group: str) -> None:
    assert named(*overrides)[0] == group


def test_a_name_adds_the_seed() -> None:
    assert named("algo.inner_steps=3", "seed=2")[1] == f"{REPTILE},algo.inner_steps=3,seed=2"
    assert named("logger.wandb.group=mine", "seed=2") == ("mine", "mine,seed=2")
    assert named("logger.wandb.name=mine") == (REPTILE, "mine")


def test_an_evaluation_is_named_after_the_training_that_its_checkpoint_remembers() -> None:
    overrides = "ckpt_path=last.ckpt", "data.shots=1", "eval.tasks=7", "seed=1"
    assert named(*overrides, command="evaluate") == (
        "{trained},data.shots=1", "eval {trained},data.shots=1,seed=1",
    )  # fmt: skip


def test_overrides_that_add_and_remove_are_differences_too() -> None:
    given = ["+algo.outer_options.momentum=0.9", "~label", "+data.source.split_seed=3", "+seed=1"]
    assert differences(given) == [given[0], given[2], given[1]]


def test_the_default_of_a_job_that_does_not_run_may_be_given() -> None:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["logger.wandb.group=null"])
    assert OmegaConf.to_container(cfg.logger, resolve=True)["wandb"]["name"] is None  # type: ignore
