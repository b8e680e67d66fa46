"""What values a setting may have: bounds written as types, and the check that holds values to them.

A class says what its settings may be where it declares them, `inner_steps: Count`; nothing else
repeats it. Numbers are finite, and a whole number is neither a float nor a boolean.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache, wraps
from types import MappingProxyType
from typing import Annotated, Any, ParamSpec, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Len, Lt
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from firstorder.messages import nearest

Count = Annotated[int, Ge(1), Le(10**9)]
CountOrZero = Annotated[int, Ge(0), Le(10**9)]
Width = Annotated[int, Ge(1), Le(2**16)]  # of an image or a layer: what still fits into memory
Layers = Annotated[int, Ge(1), Le(64)]  # of a network
Processes = Annotated[int, Ge(1), Le(1024)]  # of threads too; a machine gives out at some number
Seed = Annotated[int, Ge(0), Lt(2**32)]  # what numpy and torch both take
StepSize = Annotated[float, Gt(0)]
Minutes = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Le(1)]
BelowOne = Annotated[float, Ge(0), Lt(1)]
NonNegative = Annotated[float, Ge(0)]
Filename = Annotated[str, Len(1)]
ModulePath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")]
FunctionPath = Annotated[str, Field(pattern=r"^[\w.]+:[A-Za-z_]\w*$")]

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
BOUNDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "finite_number": "must be finite",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_pattern_mismatch": "must be of the form package.module:function",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "dict_type": "must be a mapping, {{name: value}}",
    "is_instance_of": "must be a list",
    "sequence_str": "must be a list",
    "list_type": "must be a list",
}
P = ParamSpec("P")
Options = Mapping[str, Any]  # arguments of something that a setting names
NO_OPTIONS: Options = MappingProxyType({})


def one_of_names(known: Iterable[str]) -> AfterValidator:
    """Return what makes a type of text, `Annotated[str, ...]`, allow these names only."""

    def is_known(name: str) -> str:
        if name not in known:
            raise ValueError(f"is not known{nearest(name, known)}")
        return name

    return AfterValidator(is_known)


def check(key: str, value: Any, declared: Any) -> None:
    """Check that a value is what its declared type allows.

    Args:
        key: what the user calls the setting, such as "algo.inner_steps".
        value: a plain value: no config object.
        declared: its type, with its bounds.

    Raises:
        ValueError: it is not; the sentence names key, value and bound.
    """
    try:
        adapter(declared).validate_python(value)
    except ValidationError as error:
        raise ValueError(violation(key, value, declared, error)) from None


def check_fields(settings: Any, prefix: str) -> None:
    """Check the fields of a dataclass; for its `__post_init__`."""
    kind: Any = type(settings)
    declared = declarations(kind)
    for field in fields(settings):
        if field.init:
            check(f"{prefix}.{field.name}", getattr(settings, field.name), declared[field.name])


def checked(prefix: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Check the arguments of an `__init__`; its first is the object itself."""

    def decorate(init: Callable[P, None]) -> Callable[P, None]:
        signature = inspect.signature(init)
        hints = get_type_hints(init, include_extras=True)

        @wraps(init)
        def checking(*args: P.args, **kwargs: P.kwargs) -> None:
            for name, value in list(signature.bind(*args, **kwargs).arguments.items())[1:]:
                check(f"{prefix}.{name}", value, hints.get(name, Any))
            init(*args, **kwargs)

        return checking

    return decorate


@cache
def declarations(target: type) -> dict[str, Any]:
    """Return the declared type of each argument that a class is built from, bounds included."""
    hints = get_type_hints(target.__init__, include_extras=True)  # type: ignore[misc]
    return {name: hints.get(name, Any) for name in inspect.signature(target).parameters}


@cache
def adapter(declared: Any) -> TypeAdapter[Any]:
    """Return pydantic's checker of a type."""
    return TypeAdapter(declared, config=STRICT)


def violation(key: str, value: Any, declared: Any, error: ValidationError) -> str:
    """Say in one sentence how a value breaks its declaration."""
    first = error.errors(include_url=False)[0]
    for step in first["loc"]:
        if isinstance(step, int) and isinstance(value, list | tuple):
            key, value = f"{key}[{step}]", value[step]
    if first["type"] == "literal_error":
        return f"{key}={shown(value)} is not known{nearest(shown(value), choices(declared))}"
    return f"{key}={shown(value)} {bound(first)}"


def bound(error: Mapping[str, Any]) -> str:
    """Say what a value must be, by one error of pydantic's."""
    limits = {k: f"{v:g}" if isinstance(v, float) else v for k, v in error.get("ctx", {}).items()}
    if error["type"] == "value_error":  # a validator of our own, such as `one_of_names`
        return str(limits["error"])
    return BOUNDS[error["type"]].format(**limits) if error["type"] in BOUNDS else error["msg"]


def choices(declared: Any) -> list[str]:
    """List the values of the `Literal` in a type."""
    inner = get_args(declared)
    if not inner:
        return [shown(declared)] if not isinstance(declared, type) else []
    if get_origin(declared) is Annotated:
        inner = inner[:1]
    return [choice for each in inner for choice in choices(each)]


def shown(value: Any) -> str:
    """Write a value as a config does."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return str(value)
