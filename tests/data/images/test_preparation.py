import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from firstorder.data.images.cache import open_cache
from firstorder.data.images.pictures import Pictures
from firstorder.data.images.preparation import build
from tests.data.conftest import Patches


def test_a_cache_gives_back_what_was_read(cache: Path) -> None:
    source = Patches()
    source.prepare()
    opened = open_cache(source.folder())
    assert opened.names == [f"class{i}" for i in range(10)]
    for i, (name, read) in enumerate(source.read()):
        images = opened.pixels[opened.offsets[i] : opened.offsets[i + 1]]
        np.testing.assert_array_equal(images.transpose(0, 2, 3, 1), read().pixels, err_msg=name)


def test_a_second_preparation_reads_nothing() -> None:
    source = Patches()
    source.prepare()
    source.decoded.clear()
    source.prepare()
    assert source.decoded == []


def test_a_changed_setting_never_reads_an_old_cache() -> None:
    Patches(images=6).prepare()
    other = Patches(images=7)
    other.prepare()
    other.setup()
    assert len(other.decoded) == 10


def test_the_fingerprint_depends_on_the_pixels_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints = []
    for cache, images in (("a", 6), ("b", 6), ("c", 7)):
        monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path / cache))
        source = Patches(images=images)
        source.prepare()
        source.setup()
        prints.append(source.fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_an_interrupted_preparation_is_resumed_and_leaves_nothing_half_written(cache: Path) -> None:
    source = Patches()

    def stop_at_seven() -> object:
        for name, read in source.read():
            if name == "class7":
                raise KeyboardInterrupt
            yield name, read

    folder = source.folder()
    with pytest.raises(KeyboardInterrupt):
        build(folder, stop_at_seven)  # type: ignore[arg-type]
    assert not folder.exists()
    kept = (folder.with_name(folder.name + ".partial") / "journal.jsonl").read_text().splitlines()
    source.decoded.clear()
    source.prepare()
    assert sorted(source.decoded) == [f"class{i}" for i in range(len(kept), 10)]
    test_a_cache_gives_back_what_was_read(cache)


@pytest.mark.parametrize("damage", ["pixels", "journal"])
def test_a_resumed_preparation_does_not_trust_damaged_leftovers(cache: Path, damage: str) -> None:
    source = Patches()
    source.prepare()
    folder = source.folder()
    entries = json.loads((folder / "index.json").read_text())["classes"]
    partial = folder.with_name(folder.name + ".partial")
    folder.rename(partial)
    (partial / "index.json").unlink()
    journal = "".join(json.dumps(entry) + "\n" for entry in entries[:5])
    (partial / "journal.jsonl").write_text(journal[:-9] if damage == "journal" else journal)
    if damage == "pixels":
        with (partial / "pixels.bin").open("r+b") as pixels:
            pixels.seek(200)
            pixels.write(b"damage")
    test_a_cache_gives_back_what_was_read(cache)


def _prepare(delay: float, log: Path) -> None:
    class Slow(Patches):
        def decode(self, i: int) -> Pictures:
            time.sleep(delay)
            with log.open("a") as file:
                file.write(f"{os.getpid()} {i}\n")
            return super().decode(i)

    source = Slow()
    source.prepare()
    source.setup()
    source.draw("train", np.random.default_rng(0), 5, 2, 1)


def test_of_processes_that_start_at_once_one_prepares(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_prepare, args=(0.02, log)) for _ in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    lines = log.read_text().splitlines()
    assert len(lines) == 10
    assert len({line.split()[0] for line in lines}) == 1
    test_a_cache_gives_back_what_was_read(cache)


def test_a_killed_preparation_is_taken_over(tmp_path: Path, cache: Path) -> None:
    log = tmp_path / "log"
    process = multiprocessing.get_context("fork").Process(target=_prepare, args=(0.05, log))
    process.start()
    while not log.exists() or len(log.read_text().splitlines()) < 4:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    test_a_cache_gives_back_what_was_read(cache)


def test_an_unwritable_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ValueError, match=r"file/cache cannot be written .*FIRSTORDER_CACHE"):
        Patches().prepare()


def test_a_full_disk_is_told_and_what_was_written_is_kept(cache: Path) -> None:
    source, limits = Patches(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (900, limits[1]))
    try:
        with pytest.raises(ValueError, match=r"cannot be written .*FIRSTORDER_CACHE"):
            source.prepare()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not source.folder().exists()
    test_a_cache_gives_back_what_was_read(cache)


def test_a_damaged_cache_is_named() -> None:
    source = Patches()
    source.prepare()
    folder = source.folder()
    with (folder / "pixels.bin").open("ab") as pixels:
        pixels.truncate(100)
    with pytest.raises(ValueError, match=r"patches-.* is damaged .*delete that folder"):
        source.setup()
