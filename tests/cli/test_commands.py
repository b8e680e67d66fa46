import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from firstorder.cli.assembly import build
from firstorder.cli.commands import overrides_first
from firstorder.cli.messages import message
from firstorder.cli.schema import register
from firstorder.places import CONF


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        (
            "algo.inner_stepz=3",
            "there is no setting algo.inner_stepz, did you mean algo.inner_steps?",
        ),
        (
            "+algo.inner_stepz=3",
            "there is no setting algo.inner_stepz, did you mean algo.inner_steps?",
        ),
        ("dat=omniglot", "there is no setting dat, did you mean data?"),
        ("algo=reptil", "algo=reptil is not known, did you mean reptile?"),
        ("data=imagenet", "data=imagenet is not known, did you mean miniimagenet?"),
        ("algo.inner_steps=many", "algo.inner_steps=many must be a whole number"),
        ("trainer.max_steps=1.5", "trainer.max_steps=1.5 must be a whole number"),
        ("algo.inner_options=[1]", "algo.inner_options is a list where a mapping is wanted"),
        ("algo.inner_options=1", "algo.inner_options must be a mapping, {name: value}"),
        ("eval.query_shots=[1]", "eval.query_shots=[1] must be a whole number"),
        ("algo.inner_steps=???", "algo.inner_steps must be given: add algo.inner_steps=..."),
        ("algo.layers=64 algo=anil", "algo.layers must be a list"),
        ("algo.inner_steps=null", "algo.inner_steps=null must be given"),
        (
            "data=sinusoid regularise=augment",
            "regularise=augment sets augment, which Sinusoid does not have: leave regularise=augment out",
        ),
        (
            "logger=null",
            "a group such as algo, data, model or logger cannot be null: name one, as in",
        ),
        ("algo.inner_steps={", "the override algo.inner_steps={ cannot be read: write key=value"),
    ],
)
def test_an_error_is_told_with_the_key_and_what_would_be_right(override: str, answer: str) -> None:
    register()
    composing = initialize_config_dir(str(CONF), version_base="1.3")
    with composing, pytest.raises((ValueError, HydraException, OmegaConfBaseException)) as caught:
        build(compose("train", override.split()), "algo")
    assert message(caught.value).startswith(answer)


def test_the_outermost_sentence_is_the_users() -> None:
    error = ValueError("the archive is cut off")
    error.__cause__ = EOFError("ran out of input")
    assert message(error) == "the archive is cut off"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("data=omniglot --multirun seed=0,1", "data=omniglot seed=0,1 --multirun"),
        ("--config-dir mine seed=1 ~logger", "seed=1 ~logger --config-dir mine"),
        ("--cfg job seed=1 --resolve", "seed=1 --cfg job --resolve"),
        ("--config-name=train +a.b=c", "+a.b=c --config-name=train"),
        ("seed=1 --info", "seed=1 --info"),
    ],
)
def test_options_may_stand_among_overrides(given: str, taken: str) -> None:
    assert overrides_first(given.split()) == taken.split()


def test_options_of_the_outer_optimizer_are_taken_and_tried() -> None:
    adam = ["algo.outer_optimizer=Adam", "algo.outer_lr=0.001"]
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = build(compose("train", [*adam, "algo.outer_options={betas:[0.5,0.9]}"]), "algo")
        assert found.outer_options == {"betas": [0.5, 0.9]}
        with pytest.raises(ValueError, match=r"algo.outer_options=.*foo.*Adam"):
            build(compose("train", [*adam, "algo.outer_options={foo:1}"]), "algo")


def test_a_full_disk_is_told_with_what_to_do_about_it() -> None:
    assert message(OSError(28, "No space left on device")).startswith(
        "No space left on device: make room on the disk of the run folder (hydra.run.dir=...) or of"
    )
