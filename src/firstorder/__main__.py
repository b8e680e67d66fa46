"""The command `firstorder`: firstorder train algo=reptile data=omniglot is python src/train.py ..."""

import runpy
import sys

from firstorder.messages import nearest
from firstorder.places import COMMANDS


def main() -> None:
    """Run the command that the first argument names."""
    paths = {path.stem: path for path in sorted(COMMANDS.glob("*.py"))}
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            "usage: firstorder COMMAND [key=value ...] [--config-dir FOLDER] [--cfg job] [--multirun]"
        )
        for name, path in paths.items():
            print(f"  {name:10} {path.read_text().splitlines()[0][3:-3]}")
        return
    name = arguments[0]
    if name not in paths:
        sys.exit(f"error: there is no command {name}{nearest(name, paths)}")
    sys.argv[:] = [str(paths[name]), *arguments[1:]]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
