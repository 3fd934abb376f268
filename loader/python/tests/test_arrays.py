"""How long arrays live, and in whose hands."""

import gc
import os
import signal
from itertools import islice

import numpy as np
import pytest
import torch
from conftest import SMALL, has_ended

from sslight_loader import ArrayKeptError, ArrayReleasedError, Loader, StreamClosedError


@pytest.fixture
def batches(loader):
    with loader.subscribe(batch_size=4, views=SMALL, epochs=3) as batches:
        yield batches


def test_numpy_and_torch_read_the_ring_itself(batches):
    big, _ = next(batches).views
    array, tensor = np.asarray(big), torch.from_dlpack(big)
    assert array.ctypes.data == tensor.data_ptr() == np.from_dlpack(big).ctypes.data == big.numpy().ctypes.data
    assert array.base is not None and not array.flags.writeable
    assert np.array_equal(array, tensor.numpy())


def test_views_cannot_be_written(batches):
    big, _ = next(batches).views
    for array in (np.asarray(big), np.from_dlpack(big)):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    with pytest.raises((ValueError, BufferError)):
        np.asarray(big).flags.writeable = True
    with pytest.raises(TypeError, match="read-only"):
        memoryview(big)[0] = 0


def test_labels_and_ids_are_ours_to_keep_and_write(batches):
    kept = [(batch.labels, batch.ids) for batch in batches]
    for labels, ids in kept:
        assert ids.numpy().dtype == np.int64
        labels.torch()[0] = 77
        assert labels.tolist()[0] == 77


def test_an_array_is_released_when_the_next_batch_is_asked_for(batches):
    big, _ = next(batches).views
    np.asarray(big)
    next(batches)
    for use in (np.asarray, memoryview, torch.from_dlpack, lambda big: big.tolist()):
        with pytest.raises(ArrayReleasedError, match="epoch 0, step 0"):
            use(big)
    assert big.shape == (2, 4, 48, 48, 3)


def test_variables_of_a_loop_keep_nothing_too_long(batches):
    for batch in batches:
        big, small = batch.views
        array, tensor, view = np.asarray(big), torch.from_dlpack(small), memoryview(big)
    assert len(batches) == 45 and array.any() and tensor.any() and view.nbytes


def test_what_was_taken_keeps_its_pixels_until_the_batch_after_next_and_then_is_an_error(batches):
    array = np.asarray(next(batches).views[0])
    copy = array.copy()
    next(batches)
    assert np.array_equal(array, copy)
    for _ in range(2):
        with pytest.raises(ArrayKeptError, match="epoch 0, step 0.*copy=True"):
            next(batches)
    assert np.array_equal(array, copy)
    del array
    assert next(batches).step == 2


def test_an_array_in_a_circle_is_not_kept(batches):
    gc.disable()
    try:
        for batch in islice(batches, 5):
            circle = [np.asarray(batch.views[0])]
            circle.append(circle)
    finally:
        gc.enable()


def test_a_capsule_that_nobody_took_keeps_nothing(batches):
    for batch in batches:
        batch.views[0].__dlpack__()
        batch.views[0].__dlpack__(max_version=(1, 0))


def test_copies_may_be_kept_and_written(loader):
    with loader.subscribe(batch_size=4, views=SMALL, epochs=2, copy=True) as batches, loader.subscribe(batch_size=4, views=SMALL, epochs=2) as views:
        kept = [batch.views[1].torch() for batch in batches]
        assert all(np.array_equal(np.asarray(batch.views[1]), mine.numpy()) for batch, mine in zip(views, kept, strict=True))
    kept[0].zero_()
    assert not kept[0].any() and kept[1].any()


def test_a_capsule_may_be_a_copy(batches):
    big, _ = next(batches).views
    copy = np.from_dlpack(big, copy=True)
    assert copy.flags.writeable and copy.ctypes.data != np.asarray(big).ctypes.data
    assert np.array_equal(copy, np.asarray(big))
    with pytest.raises(BufferError):
        big.__dlpack__(dl_device=(2, 0))


def test_arrays_outlive_stream_loader_and_daemon(shards):
    loader = Loader(shards)
    pid = loader.pid
    batches = loader.subscribe(batch_size=4, views=SMALL)
    big, small = next(batches).views
    array = np.asarray(big)
    copy = array.copy()
    batches.close()
    loader.close()
    assert has_ended(pid)
    assert np.array_equal(array, copy)
    with pytest.raises(ArrayReleasedError):
        np.asarray(small)
    with pytest.raises(StreamClosedError):
        next(batches)


def test_arrays_outlive_a_killed_daemon(shards):
    with Loader(shards) as loader, loader.subscribe(batch_size=4, views=SMALL) as batches:
        array = np.asarray(next(batches).views[0])
        copy = array.copy()
        os.kill(loader.pid, signal.SIGKILL)
        assert has_ended(loader.pid)
        assert np.array_equal(array, copy)
