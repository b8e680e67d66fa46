"""The settings of the demo."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from firstorder.settings import Filename


@dataclass(frozen=True, kw_only=True)
class DemoSettings:
    """Say what the page shows besides the checkpoint of images, and where it is.

    Attributes:
        sine_ckpt_path: a checkpoint of sine waves, for the second tab.
        export: a folder to write the page into, as files that need no Python, in place of serving it.
        port: of the address http://127.0.0.1:port/; 0 takes a free one.
    """

    sine_ckpt_path: Filename | None = None
    export: Filename | None = None
    port: Annotated[int, Ge(0), Le(65535)] = 7860
