import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from firstorder.cli.assembly import build
from firstorder.cli.commands import CONF
from firstorder.cli.messages import message
from firstorder.cli.schema import register


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
        ("algo.inner_steps=???", "algo.inner_steps must be given: add algo.inner_steps=..."),
        ("algo.inner_steps={", "the override algo.inner_steps={ cannot be read: write key=value"),
    ],
)
def test_an_error_is_told_with_the_key_and_what_would_be_right(override: str, answer: str) -> None:
    register()
    composing = initialize_config_dir(str(CONF), version_base="1.3")
    with composing, pytest.raises((ValueError, HydraException, OmegaConfBaseException)) as caught:
        build(compose("train", [override]), "algo")
    assert message(caught.value).startswith(answer)


def test_the_outermost_sentence_is_the_users() -> None:
    error = ValueError("the archive is cut off")
    error.__cause__ = EOFError("ran out of input")
    assert message(error) == "the archive is cut off"
