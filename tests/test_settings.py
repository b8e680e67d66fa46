import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Len

from firstorder.settings import Count, Seed, StepSize, check, checked


@pytest.mark.parametrize(
    ("value", "declared", "told"),
    [
        (0, Count, "key=0 must be at least 1"),
        (True, Count, "key=true must be a whole number"),
        (1.0, Count, "key=1.0 must be a whole number"),
        (None, Count, "key=null must be a whole number"),
        (2**32, Seed, "key=4294967296 must be below 4294967296"),
        (0, StepSize, "key=0 must be above 0"),
        (math.nan, StepSize, "key=nan must be finite"),
        (math.inf, float, "key=inf must be finite"),
        (0.5, Count | None, "key=0.5 must be a whole number"),
        ("adan", Literal["adam", "sgd"], "key=adan is not known, did you mean adam?"),
        (2, Literal[1, 3], "key=2 is not known; there are: 1, 3"),
        ([1, -1.0], Sequence[StepSize], "key[1]=-1.0 must be above 0"),
        ([1.0], Annotated[Sequence[float], Len(2)], "key=[1.0] must hold at least 2"),
        (3, Sequence[float], "key=3 must be a list"),
        ("yes", bool, "key=yes must be true or false"),
        (3, dict[str, Any], "key=3 must be a mapping, {name: value}"),
    ],
)
def test_a_violation_names_key_value_and_bound(value: Any, declared: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r"^key") as caught:
        check("key", value, declared)
    assert str(caught.value) == told


def test_what_is_declared_is_taken() -> None:
    for value, declared in [
        (1, Count), (None, Count | None), (1, StepSize), (1e30, StepSize), ((1, 2), Sequence[Count]),
        ("sgd", Literal["adam", "sgd"]), ({}, dict[str, Any]), (object(), Any),
    ]:  # fmt: skip
        check("key", value, declared)


def test_arguments_are_checked_where_a_class_is_built_by_hand() -> None:
    class Network:
        @checked("model")
        def __init__(self, filters: Count, depth: Count = 1) -> None:
            self.filters = filters

    assert Network(3).filters == 3
    with pytest.raises(ValueError, match=r"model\.depth=0 must be at least 1"):
        Network(3, depth=0)
