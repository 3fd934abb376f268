"""Real shards, made by the package's own programs, and a folder of sockets of our own. No test waits without a deadline."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sslight_loader import Loader, views

WATCHDOG_S = 120
SMALL = views.sslight().with_sizes(48, 32)


def program(*args: str, **options) -> subprocess.CompletedProcess:
    """Runs `python -m sslight_loader` to its end."""
    command = [sys.executable, "-m", "sslight_loader", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_S, **options)


def has_ended(pid: int) -> bool:
    """Waits for the end of a process that need not be ours."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    waiting = select.poll()
    waiting.register(process, select.POLLIN)
    ended = bool(waiting.poll(1000 * WATCHDOG_S))
    os.close(process)
    return ended


@pytest.fixture(scope="session", autouse=True)
def runtime_dir():
    """Sockets and logs go to a folder of this run."""
    with tempfile.TemporaryDirectory(prefix="sl-") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        for name in ("RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)
        yield Path(folder)


@pytest.fixture(scope="session", autouse=True)
def ctrl_c():
    """A shell starts what runs in the background with SIGINT ignored, and Python then leaves it so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    made = program("synth", folder, "--classes", "3", "--images", "20", "--px", "80")
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="session")
def shards(images) -> Path:
    return Loader.pack(images)


@pytest.fixture
def loader(shards):
    with Loader(shards) as loader:
        yield loader


@pytest.fixture
def user():
    """Starts a Python program that uses the package and prints; killed at the end."""
    started = []

    def start(code: str, *args: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-u", "-c", code, *map(str, args)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(WATCHDOG_S)
        process.stdout.close()
