"""What `import firstorder` offers, and what it costs."""

import re
import subprocess
import sys

import firstorder
from tests.conftest import ROOT

PUBLIC = {
    "ANIL", "Adapted", "ArraySource", "CifarFS", "Conv4", "EvaluationSettings", "FOMAML", "Glyphs",
    "GradientCombination", "ImageFolder", "Joint", "Learn2Learn", "Learner", "MAML", "MLP",
    "MetaAlgorithm", "MetaSGD", "MiniImageNet", "Omniglot", "Reptile", "Sinusoid", "evaluate", "load",
    "train", "trust",
}  # fmt: skip


def test_a_name_is_added_or_removed_on_purpose_only() -> None:
    assert set(firstorder.__all__) == PUBLIC
    stub = (ROOT / "src" / "firstorder" / "__init__.pyi").read_text()
    assert set(re.findall(r" as (\w+)", stub)) == PUBLIC
    for name in PUBLIC:
        assert getattr(firstorder, name).__doc__, name


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys, firstorder; print(*(m for m in ('torch', 'numpy') if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    assert done.stdout == "\n"
