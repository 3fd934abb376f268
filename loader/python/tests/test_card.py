"""Arrays in memory of a card. Stand-ins take the place of NVIDIA's libraries (loader/cuda-standin); their memory is the host's, and their streams are late."""

import os
import re
import signal
import subprocess
import sys
import time
import zlib
from ctypes.util import find_library
from pathlib import Path

import pytest
from conftest import SMALL, WATCHDOG_S

from sslight_loader import Loader, LoaderError

STANDINS = Path(os.environ["SSLIGHT_STANDINS"])
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def with_card(tmp_path_factory) -> dict[str, str]:
    """An environment in which programs find a driver, its compiler and nvJPEG."""
    folder = tmp_path_factory.mktemp("libraries")
    names = {"cuda": ["libcuda.so.1", "libcuda.so", "libnvrtc.so.13", "libnvrtc.so"], "nvjpeg": ["libnvjpeg.so.13"]}
    for standin, libraries in names.items():
        for name in libraries:
            (folder / name).symlink_to(STANDINS / f"lib{standin}_standin.so")
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "STANDIN_DEVICES": "2"}


@pytest.fixture(params=["gpu", "cpu"])
def served(request, shards, with_card, tmp_path):
    """A daemon of the package, and where it listens."""
    socket, log = tmp_path / "s", tmp_path / "log"
    command = [sys.executable, "-m", "sslight_loader", "serve", shards, "--socket", socket, "--decoder", request.param]
    with log.open("w") as stderr, subprocess.Popen(list(map(str, command)), env=with_card, stderr=stderr, start_new_session=True) as daemon:
        most = time.monotonic() + WATCHDOG_S
        while daemon.poll() is None and not socket.exists() and time.monotonic() < most:
            time.sleep(0.01)
        assert socket.exists(), log.read_text()
        yield request.param, socket
        daemon.terminate()


def run(with_card, *args) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, args)], env=with_card, capture_output=True, text=True, timeout=WATCHDOG_S)


def test_arrays_on_a_card_are_those_of_the_host_and_what_is_not_possible_says_so(served, shards, with_card):
    decoder, socket = served
    read = run(with_card, HERE / "card_reader.py", shards, socket)
    if decoder == "cpu":
        assert "LoaderWarning: views lie in main memory, not on device 'cuda:0': batches are made by the CPU" in read.stderr
        return
    assert read.returncode == 0, read.stderr
    lines = []
    with Loader(shards, socket=socket, start=False) as loader:
        asked = {"batch_size": 4, "views": SMALL, "seed": 3, "shuffle": False, "drop_last": False}
        for batch in loader.subscribe(**asked):
            for row, id in enumerate(batch.ids.tolist()):
                of_views = [array.numpy()[view, row].tobytes() for array in batch.views for view in range(array.shape[0])]
                lines.append(" ".join([str(id), *(f"{zlib.crc32(view):08x}" for view in of_views)]))
    assert read.stdout.splitlines() == lines
    assert len(lines) > 20


def test_doctor_tells_whether_views_can_lie_on_a_card_and_why_not(shards, with_card):
    def doctor(**more: str) -> str:
        told = run(with_card | more, "-m", "sslight_loader", "doctor", shards)
        assert told.returncode == 0, told.stderr
        return told.stdout

    assert "ok    views on a card: " in doctor()
    assert "note  no views on a card: the card is not there, or hidden from this process; device 0; see nvidia-smi" in doctor(STANDIN_DEVICES="0")
    if find_library("cuda") is None:
        assert "note  no views on a card: there is no NVIDIA driver; run it where libcuda.so.1 is" in doctor(LD_LIBRARY_PATH="")
    assert re.search("note  no views on a card: .*memory of the card is not shared: mapping memory failed", doctor(STANDIN_FAIL="cuMemMap:1"))
    with Loader(shards):
        assert re.search("note  no views on a card: .*batches are made by the CPU", doctor())


def test_a_forked_child_gives_back_nothing_of_a_card_and_keeps_nothing_of_a_killed_parents(served, shards, with_card):
    decoder, socket = served
    if decoder == "cpu":
        return
    command = [sys.executable, HERE / "forked_card_reader.py", shards, socket]
    with Loader(shards, socket=socket, start=False) as loader, subprocess.Popen(list(map(str, command)), env=with_card, stdout=subprocess.PIPE, text=True) as parent:
        pid = loader.pid
        told = dict(parent.stdout.readline().split() for _ in range(2))
        assert told.keys() == {"child", "parent"} and num_mappings(pid) == 1
        parent.kill()
        wait_for(lambda: loader.status()["subscribers"] == [] and num_mappings(pid) == 0)
        child = int(told["child"])
        assert num_mappings(child) == 1, "it is still there"
        os.kill(child, signal.SIGKILL)


def num_mappings(pid: int) -> int:
    """How often a process maps memory that cards share."""
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:card")


def wait_for(condition) -> None:
    most = time.monotonic() + WATCHDOG_S
    while not condition():
        assert time.monotonic() < most
        time.sleep(0.01)


@pytest.mark.skipif(find_library("cuda") is not None, reason="this machine has a driver")
def test_a_card_where_there_is_no_driver_is_an_error(loader):
    with pytest.raises(LoaderError, match="no NVIDIA driver"):
        loader.subscribe(device="cuda")
