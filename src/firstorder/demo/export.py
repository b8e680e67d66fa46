"""The page as one file that opens from disk: the inner loop runs in the browser, by onnxruntime-web."""

import gzip
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from firstorder.data.images.fetch import RemoteFile, fetch_file
from firstorder.data.minibatches import cycle_minibatches
from firstorder.demo.characters import MOST_CLASSES, Characters
from firstorder.demo.graphs import answer_graph, step_graph
from firstorder.demo.page import inlined, write_page
from firstorder.demo.waves import GRID, MOST_POINTS, STEPS, Waves
from firstorder.folders import cache_root
from firstorder.library.adaptation import Adaptation
from firstorder.run.atomic import replacing

# MIT; its header, with the copyright, stays in the page.
RUNTIME = RemoteFile(
    "onnxruntime-web-1.30.0.tgz",
    "7677e2cac4b2d0a14154aef901cdab13",
    ("https://registry.npmjs.org/onnxruntime-web/-",),
)
SCRIPT, BINARY = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def export(characters: Characters, waves: Waves | None, folder: str | Path) -> Path:
    """Write the page, and return its path.

    Raises:
        ValueError: there can be no such folder, onnxruntime-web cannot be fetched, or the network has no
            form for it.
    """
    path = Path(folder).expanduser() / "index.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"export={folder} cannot be made ({error.strerror}): name another folder"
        ) from error
    script, binary = runtime()
    networks = {
        "characters": [of_characters(characters, ways) for ways in range(2, MOST_CLASSES + 1)],
        "channels": characters.channels,
        "waves": of_waves(waves) if waves else None,
    }
    page = write_page(
        {"characters": characters.about(), "waves": waves.about() if waves else None},
        answers="browser.js",
        file={
            "networks": json.dumps(networks), "script": inlined(script),
            "binary": inlined(gzip.compress(binary)),
        },
    )  # fmt: skip
    with replacing(path) as file:
        file.write(page.encode())
    return path


def runtime() -> tuple[bytes, bytes]:
    """Return the script and the binary of onnxruntime-web, fetched once on a machine."""
    path = fetch_file(RUNTIME, cache_root() / "downloads" / "demo")
    with tarfile.open(path) as archive:
        files = [archive.extractfile(f"package/dist/{name}") for name in (SCRIPT, BINARY)]
        script, binary = (file.read() for file in files if file)
    return script, binary


def of_characters(characters: Characters, ways: int) -> dict[str, Any]:
    """Return what tells a drawing of each of some classes apart."""
    shape = characters.channels, characters.side, characters.side
    blank = np.zeros((ways, *shape), np.uint8)
    adaptation = characters.learner.begin(blank, range(ways), **characters.inner_loop)
    return parts(adaptation, torch.zeros(1, *shape), [adaptation.task.batch_indices.tolist()])


def of_waves(waves: Waves) -> dict[str, Any]:
    """Return what fits points; their number decides how they are dealt to mini-batches."""
    size = waves.learner.trained.evaluation.inner_batch_size
    adaptation = waves.learner.begin(GRID[:1], GRID[:1], steps=STEPS[-1])
    batches = [
        cycle_minibatches(n, size, STEPS[-1], np.random.default_rng(0)).tolist()
        for n in range(1, MOST_POINTS + 1)
    ]
    return parts(adaptation, torch.from_numpy(GRID), batches)


def parts(adaptation: Adaptation, query: Tensor, batches: list[Any]) -> dict[str, Any]:
    """Return an adaptation as its graphs, where it starts, and its mini-batches."""
    step, start = step_graph(adaptation)
    return {
        "step": inlined(step), "answer": inlined(answer_graph(adaptation, query)),
        "start": [
            {"shape": list(each.shape), "data": inlined(each.numpy().tobytes())} for each in start
        ],
        "batches": batches,
    }  # fmt: skip
