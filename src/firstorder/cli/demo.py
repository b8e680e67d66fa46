"""What the command `demo` needs besides its library."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_extra() -> Iterator[None]:
    """Say how to install what a page needs, where it is not there.

    Raises:
        ValueError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("firstorder"):
            raise
        raise ValueError(
            f"the demo needs the package {error.name}: pip install 'firstorder[demo]', in the repository"
            " pip install -c constraints.txt -e '.[demo]'"
        ) from error
