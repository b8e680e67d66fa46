"""Let a wheel carry the configs and the commands; everything else stands in pyproject.toml."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copy conf/ to firstorder/conf and the scripts of src/ to firstorder/commands."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            package = Path(self.build_lib, "firstorder")
            copytree("conf", package / "conf", dirs_exist_ok=True)
            others = ignore_patterns("firstorder*", "__pycache__")
            copytree("src", package / "commands", ignore=others, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
