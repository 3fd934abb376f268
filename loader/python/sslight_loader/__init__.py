"""Multi-crop views of images for training, made by a daemon and read without a copy.

Five lines::

    from sslight_loader import Loader, views

    with Loader("/data/imagenet-shards").subscribe(split="train", batch_size=256, views=views.sslight(), seed=0) as batches:
        for batch in batches:
            big, small = batch.views                # uint8 [2, 256, 224, 224, 3] and [6, 256, 128, 128, 3]
            labels, ids = batch.labels, batch.ids

Arrays speak the buffer protocol and DLPack: ``numpy.asarray(big)`` and ``torch.from_dlpack(big)`` (or ``big.numpy()``, ``big.torch()``) copy
nothing. They can be looked into until the next batch is asked for. What was taken of them stays valid, but must be gone when the batch after
that is asked for; ``subscribe(copy=True)`` makes every batch a copy of its own instead.
"""

from . import views
from ._native import Array, ViewParams
from .batches import Batch, Batches, Cursor
from .errors import (
    ArrayKeptError,
    ArrayReleasedError,
    BatchSizeError,
    DataError,
    ForkedError,
    LoaderError,
    LoaderLostError,
    LoaderTimeoutError,
    LoaderWarning,
    NoLoaderError,
    NotPackedError,
    PackError,
    RecipeError,
    ResourcesError,
    SplitError,
    StartError,
    StreamClosedError,
    UsageError,
    VersionError,
)
from .loader import Loader

__all__ = [
    "Array",
    "ArrayKeptError",
    "ArrayReleasedError",
    "Batch",
    "BatchSizeError",
    "Batches",
    "Cursor",
    "DataError",
    "ForkedError",
    "Loader",
    "LoaderError",
    "LoaderLostError",
    "LoaderTimeoutError",
    "LoaderWarning",
    "NoLoaderError",
    "NotPackedError",
    "PackError",
    "RecipeError",
    "ResourcesError",
    "SplitError",
    "StartError",
    "StreamClosedError",
    "UsageError",
    "VersionError",
    "ViewParams",
    "views",
]
