"""The wheel in an environment that has nothing else: no NumPy, no torch, no cargo."""

import os
import subprocess
import sys

import pytest
from conftest import WATCHDOG_S

FIVE_LINES = """
import sys
from sslight_loader import Loader, views
with Loader(Loader.pack(sys.argv[1])).subscribe("val", batch_size=4, views=views.val(64, 32)) as batches:
    for batch in batches:
        (view,) = batch.views
        assert memoryview(view).shape == (1, 4, 32, 32, 3) and any(memoryview(view).cast("B"))
print(len(batches))
"""


def run(*command) -> str:
    environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=WATCHDOG_S, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif("SSLIGHT_WHEEL" not in os.environ, reason="SSLIGHT_WHEEL names no wheel; scripts/test-python builds one")
def test_the_wheel_alone_packs_serves_and_reads(tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "env")
    python = tmp_path / "env/bin/python"
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", os.environ["SSLIGHT_WHEEL"])
    run(python, "-m", "sslight_loader", "synth", tmp_path / "shapes", "--classes", "2", "--images", "4", "--px", "64")
    assert run(python, "-c", FIVE_LINES, tmp_path / "shapes") == "2\n"
    assert "ok    a batch" in run(tmp_path / "env/bin/sslight-loader", "doctor", tmp_path / "shapes-shards")
