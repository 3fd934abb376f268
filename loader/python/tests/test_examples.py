"""The examples, and a notebook's cell that is interrupted."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import WATCHDOG_S, program
from nbclient import NotebookClient
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"

SUBSCRIBE = """
from sslight_loader import Loader, views
loader = Loader({shards!r})
batches = loader.subscribe(batch_size=4, views=views.val(64, 32), epochs=1 << 20)
"""
FOREVER = """
def train():
    num_batches = 0
    while True:
        for batch in batches:
            num_batches += len(batch.views[0].numpy())

train()
"""
GO_ON = "print(len(next(batches)), loader.pid == batches._stream.loader_pid)"


def run(notebook, folder, timeout=lambda cell: WATCHDOG_S, **options):
    client = NotebookClient(notebook, timeout_func=timeout, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **options)
    client.execute()
    return notebook.cells


def test_the_notebook_shows_views_and_their_boxes(tmp_path):
    cells = run(nbformat.read(EXAMPLES / "views.ipynb", as_version=4), tmp_path)
    pictures = [output.data["image/png"] for cell in cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    (sheet,) = (Image.open(io.BytesIO(base64.b64decode(picture))) for picture in pictures)
    assert sheet.width == 230 + 2 * 234 + 6 * 138
    # The frame of a global view, and its box on the source picture.
    red = sum(count for count, colour in sheet.convert("RGB").getcolors(1 << 24) if colour == (0xD6, 0x27, 0x28))
    assert red > 3 * 2 * 3 * 224


def test_an_interrupted_cell_leaves_a_stream_that_goes_on(shards, tmp_path):
    sources = [SUBSCRIBE.format(shards=str(shards)), FOREVER, GO_ON]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    cells = run(notebook, tmp_path, lambda cell: 2 if cell.source == FOREVER else WATCHDOG_S, interrupt_on_timeout=True, allow_errors=True)
    assert [output.ename for output in cells[1].outputs] == ["KeyboardInterrupt"]
    assert cells[2].outputs[0].text == "4 True\n"


def test_the_smallest_training_runs_to_its_end(tmp_path):
    script = EXAMPLES / "train_ssl.py"
    assert len(script.read_text().splitlines()) < 100
    assert program("synth", tmp_path / "shapes", "--classes", "4", "--images", "40", "--px", "64").returncode == 0
    done = subprocess.run([sys.executable, script, tmp_path / "shapes", "2"], capture_output=True, text=True, timeout=WATCHDOG_S)
    assert done.returncode == 0, done.stderr
    lines = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert lines == ["random network", "epoch 0", "epoch 1", "after 2 epochs"]


@pytest.fixture(scope="module", autouse=True)
def no_profile(tmp_path_factory):
    """Kernels of Jupyter leave nothing in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield
