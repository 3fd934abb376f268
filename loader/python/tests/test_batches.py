"""What a stream delivers."""

import hashlib
import io
import re

import numpy as np
import pytest
from conftest import SMALL, program
from PIL import Image

from sslight_loader import Cursor, Loader, UsageError, views


def ids_of(batches):
    return [batch.ids.tolist() for batch in batches]


def test_five_lines_deliver_every_sample_of_an_epoch_once(shards):
    seen = []
    with Loader(shards).subscribe(split="train", batch_size=10, views=SMALL, seed=0) as batches:
        assert len(batches) == 6
        for batch in batches:
            big, small = batch.views
            assert (big.shape, small.shape) == ((2, 10, 48, 48, 3), (6, 10, 32, 32, 3))
            assert big.dtype == "uint8" and len(batch) == 10
            seen += batch.ids.tolist()
            assert {0, 1, 2} >= set(batch.labels.tolist())
    assert sorted(seen) == list(range(60)) and seen != sorted(seen)
    assert batches.classes == sorted(batches.classes) and len(batches.classes) == 3


def test_views_are_those_that_the_loader_draws(loader, shards, tmp_path):
    recipe = views.sslight()
    with loader.subscribe(batch_size=4, views=recipe, seed=7, epochs=3, start=Cursor(2, 5)) as batches:
        batch = next(batches)
        id = batch.ids.tolist()[1]
        ours = [np.array(array)[view, 1] for array in batch.views for view in range(array.shape[0])]
        params = [of_view[1] for of_view in batch.view_params]
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    sheet = tmp_path / "sheet.png"
    told = program("preview", shards, "--out", sheet, "--recipe", tmp_path / "recipe.json", "--ids", id, "--seed", 7, "--epoch", 2)
    assert told.returncode == 0, told.stderr
    pixels = np.asarray(Image.open(sheet).convert("RGB"))
    left = 6 + 224 + 18
    for view, ours_of_view in enumerate(ours):
        size = ours_of_view.shape[0]
        assert np.array_equal(ours_of_view, pixels[6 : 6 + size, left : left + size]), f"view {view}"
        left += size + (18 if view == 1 else 6)
    rust = re.findall(r"crop: Rect \{ left: (\d+), top: (\d+), width: (\d+), height: (\d+) \}.* flip: (\w+),", told.stdout)
    assert [(*params.crop, str(params.flip).lower()) for params in params] == [(*map(int, crop), flip) for *crop, flip in rust]


def test_a_cursor_goes_on_where_the_stream_was(loader):
    options = dict(batch_size=8, views=SMALL, seed=3, epochs=2)
    with loader.subscribe(**options) as batches:
        whole = ids_of(batches)
        assert len(whole) == len(batches) == 14 and batches.cursor == Cursor(2, 0)
    with loader.subscribe(**options) as batches:
        for _ in range(9):
            cursor = next(batches).cursor
    assert cursor == Cursor(1, 2)
    with loader.subscribe(**options, start=cursor) as batches:
        assert len(batches) == 5
        assert ids_of(batches) == whole[9:]


def test_numbers_of_numpy_are_numbers(loader):
    with loader.subscribe(batch_size=np.int64(8), views=SMALL, seed=np.uint64(3)) as batches:
        assert len(batches) == 7


def test_a_stream_cannot_start_behind_its_end(loader):
    with pytest.raises(UsageError, match="2 epochs cannot start in epoch 2"):
        loader.subscribe(epochs=2, start=Cursor(2, 0))


def test_an_evaluation_is_in_order_and_has_a_partial_last_batch(loader):
    with loader.subscribe("val", batch_size=16, views=views.val(64, 48)) as batches:
        assert len(batches) == 4
        sizes, ids = [], []
        for batch in batches:
            (view,) = batch.views
            assert view.shape == (1, len(batch), 48, 48, 3) == np.asarray(view).shape
            sizes.append(len(batch))
            ids += batch.ids.tolist()
    assert sizes == [16, 16, 16, 12] and ids == list(range(60))


def test_a_partial_batch_of_several_views_has_the_rows_of_its_samples(loader):
    with loader.subscribe(batch_size=60, views=SMALL, seed=1) as batches:
        whole = np.array(next(batches).views[1])
    with loader.subscribe(batch_size=40, views=SMALL, seed=1, drop_last=False) as batches:
        next(batches)
        last = next(batches).views[1]
        assert last.shape == (6, 20, 32, 32, 3)
        assert np.array_equal(np.asarray(last), whole[:, 40:])
        with pytest.raises(BufferError):
            hashlib.sha256(last)


def test_ranks_share_an_epoch(loader, monkeypatch):
    seen = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        with loader.subscribe(batch_size=10, views=SMALL) as batches:
            assert len(batches) == 3
            seen += sum(ids_of(batches), [])
    assert sorted(seen) == list(range(60))


def test_a_subset_is_served_alone(loader, images):
    square, disc = (sorted((images / "train" / name).iterdir())[2] for name in ("checked-square", "plain-disc"))
    names = [square.stem, f"plain-disc/{disc.name}"]
    with loader.subscribe(batch_size=2, views=SMALL, subset=names) as batches:
        assert batches.num_samples == 2
        labels = next(batches).labels.tolist()
    assert sorted(batches.classes[label] for label in labels) == ["checked-square", "plain-disc"]


def test_several_streams_run_side_by_side(loader, shards):
    with Loader(shards) as other, loader.subscribe(batch_size=6, views=SMALL) as train, other.subscribe("val", batch_size=6, views=views.val(64, 32)) as val:
        pairs = list(zip((batch.epoch for batch in train), (batch.step for batch in val), strict=True))
        assert other.pid == loader.pid and len(pairs) == 10
        assert {one["split"] for one in loader.status()["subscribers"]} == {"train", "val"}


def test_the_image_of_a_sample_has_the_size_that_its_crop_is_in(loader):
    with loader.subscribe(batch_size=2, views=SMALL) as batches:
        batch = next(batches)
        params = batch.view_params[0][0]
        image = Image.open(io.BytesIO(loader.image(batch.ids.tolist()[0])))
    left, top, width, height = params.crop
    assert image.size == params.image == (80, 80)
    assert left + width <= 80 and top + height <= 80
    with pytest.raises(UsageError, match="sample 60 of 60"):
        loader.image(60)
