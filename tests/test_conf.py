"""Every algorithm goes with every data set and every network, or is refused in one sentence."""

import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from firstorder.cli.assembly import assemble, plain
from firstorder.cli.commands import USER_ERRORS
from firstorder.cli.messages import message
from firstorder.cli.schema import register
from firstorder.places import CONF
from firstorder.plugins import trust_overrides
from tests.conftest import arrays_of_tasks

ALGORITHMS, DATA, MODELS = (
    sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    for group in ("algo", "data", "model")
)
# What has no default because only the user can say it.
GIVEN = {
    "learn2learn": ["data.source.factory=package.module:function"],
    "arrays": [f"data.root={arrays_of_tasks()}"],
}
# Which networks do not go with which tasks, and why.
IMAGES = ("conv4", "conv4_pool", "resnet12", "resnet12_narrow")
POINTS = ("sinusoid", "fields", "signals", "arrays", "topics")
REFUSED = {
    **{(data, model): rf"data={data} has inputs of shape \(\d+,\)"
       for data in POINTS for model in IMAGES},
    **{(data, "pixelcnn"): r"PixelCNN does not take inputs" for data in POINTS},
    **{(data, "pixelcnn"): r"PixelCNN (gives \d+ outputs|does not take inputs)"
       for data in ("cifarfs", "glyphs", "miniimagenet", "omniglot", "imagefolder")},
    **{(data, "transformer"): rf"data={data} does not say how many words it has"
       for data in DATA if data not in ("topics", "learn2learn")},
    **{("density", model): r"\w+ gives 1 outputs an input" for model in IMAGES},
    **{("density", model): r"\w+ sees the pixels" for model in ("mlp", "siren", "fourier_mlp")},
}  # fmt: skip


def composed(*overrides: str) -> DictConfig:
    register()
    given = [each for o in overrides for each in GIVEN.get(o.removeprefix("data="), [])]
    trust_overrides(given)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [*overrides, "logger=csv", *given])


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_composes_with_every_data_set(algo: str, data: str) -> None:
    cfg = composed(f"algo={algo}", f"data={data}")
    learner, datamodule = assemble(cfg, plain(cfg))
    assert learner.algorithm.name == algo
    assert datamodule.source.name == data
    assert learner.algorithm.support_steps >= 1


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", MODELS)
def test_every_network_is_made_for_every_data_set_or_refused(model: str, data: str) -> None:
    """With any algorithm: the configs of the three groups name each other nowhere."""
    cfg = composed(f"model={model}", f"data={data}")
    if (data, model) in REFUSED:
        with pytest.raises(USER_ERRORS) as caught:
            assemble(cfg, plain(cfg))
        assert re.match(REFUSED[data, model], message(caught.value))
        return
    learner, _ = assemble(cfg, plain(cfg))  # tries the network on inputs of the shape
    assert learner.network.initial().numel() > 0
    other = ALGORITHMS[(MODELS.index(model) + DATA.index(data)) % len(ALGORITHMS)]
    with_other = composed(f"model={model}", f"data={data}", f"algo={other}")
    assert plain(with_other)["model"] == plain(cfg)["model"]


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_every_algorithm_has_the_derivatives_of_a_transformer_that_it_takes(algo: str) -> None:
    cfg = composed(
        f"algo={algo}", "data=topics", "model.width=8", "algo.inner_steps=3",
        "algo.meta_batch_size=1", "trainer.max_steps=1",
    )  # fmt: skip
    learner, datamodule = assemble(cfg, plain(cfg))
    datamodule.prepare_data()
    datamodule.setup("fit")
    tasks = next(iter(datamodule.train_dataloader())).to_float()
    found = learner.algorithm.meta_batch(
        learner.loss, learner.meta, learner.inner_state, tasks, learner.context(0)
    )
    assert all(each.isfinite().all() and each.any() for each in found.direction.values())


def test_a_size_that_is_given_wins_over_the_sources() -> None:
    cfg = composed("data=cifarfs", "data.source.image_size=40", "model.filters=3")
    assert cfg.model.image_size == 40
    assert composed("data=cifarfs", "model.image_size=84").model.image_size == 84


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.image_size=40", "does not take inputs of shape (1, 28, 28)"),
        ("model.in_channels=3", "does not take inputs of shape (1, 28, 28)"),
        ("model.num_classes=3", "gives 3 outputs"),
        ("data=topics model.words=100", "does not take inputs of shape (16,)"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_data_are_read(
    override: str, words: str
) -> None:
    cfg = composed("data=glyphs", *override.split())
    with pytest.raises(ValueError, match="see the settings of model") as caught:
        assemble(cfg, plain(cfg))
    assert words in str(caught.value)


def test_an_algorithms_own_values_win_over_those_published_for_the_data(tmp_path: Path) -> None:
    """Defaults of the class < published for the data < the algorithm's file < the command line."""
    for part in CONF.rglob("*.yaml"):
        copy = tmp_path / part.relative_to(CONF)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(part.read_text())
    (tmp_path / "algo" / "slow.yaml").write_text("defaults: [reptile]\ninner_steps: 77\n")
    (tmp_path / "experiment").mkdir(exist_ok=True)
    (tmp_path / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nalgo: {inner_steps: 88}\ndata: {train_shots: 99}\n"
    )
    register()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        for overrides, steps in {
            ("algo=reptile",): 5,
            ("algo=slow",): 77,
            ("algo=slow", "experiment=mine"): 88,
            ("algo=slow", "experiment=mine", "algo.inner_steps=3"): 3,
        }.items():
            cfg = compose("train", ["data=omniglot", *overrides])
            assert cfg.algo.inner_steps == steps
            assert cfg.algo.meta_batch_size == 5  # published
            assert cfg.algo.outer_lr == 1.0  # the class's
            assert cfg.data.train_shots == (99 if "experiment=mine" in overrides else 10)


def test_published_values_stand_as_the_paper_has_them() -> None:
    """Tables 3 and 4."""
    for data, (steps, batch, shots, eval_batch) in {
        "omniglot": (5, 10, 10, 5),
        "miniimagenet": (8, 10, 15, 15),
    }.items():
        cfg = composed(f"data={data}")
        assert (cfg.algo.inner_steps, cfg.algo.inner_batch_size) == (steps, batch)
        assert (cfg.data.train_shots, cfg.eval.inner_batch_size) == (shots, eval_batch)
        assert OmegaConf.select(cfg, "algo.inner_lr") == 0.001
