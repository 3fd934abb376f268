"""A stream of batches, and where in it one is."""

import os
import weakref
from dataclasses import dataclass
from typing import Self

from . import _native
from ._native import Array, ViewParams
from .views import Recipe

_streams: "weakref.WeakSet[Batches]" = weakref.WeakSet()


@dataclass(frozen=True)
class Cursor:
    """Where a stream goes on: the next batch, counted from 0. Plain numbers, so it can be saved as one likes."""

    epoch: int
    step: int


class Shards:
    """The folders of a data set, opened when something is first asked that the daemon does not tell."""

    def __init__(self, folders: list[str]) -> None:
        self.folders = folders
        self._opened: _native.DataSet | None = None

    def opened(self) -> _native.DataSet:
        """The data set, read in this process."""
        if self._opened is None:
            self._opened = _native.DataSet(self.folders)
        return self._opened


class Batch:
    """One batch. Its arrays can be looked into until the next batch is asked for."""

    def __init__(self, native: _native.Batch, batches: "Batches", cursor: Cursor) -> None:
        self._native = native
        self._batches = batches
        self.cursor = cursor
        """Where to go on after this batch."""

    @property
    def views(self) -> tuple[Array, ...]:
        """Arrays ``uint8 [num_views, batch, size, size, 3]``, one for each group of the recipe."""
        return self._native.views

    @property
    def labels(self) -> Array:
        """``int64 [batch]``, positions in ``batches.classes``; -1 where there is none."""
        return self._native.labels

    @property
    def ids(self) -> Array:
        """``int64 [batch]``, numbers of the samples in their split."""
        return self._native.ids

    @property
    def epoch(self) -> int:
        """Epoch, from 0."""
        return self._native.epoch

    @property
    def step(self) -> int:
        """Step within the epoch, from 0."""
        return self._native.step

    @property
    def view_params(self) -> list[list[ViewParams]]:
        """``view_params[view][sample]``: crop, flip, colours of every view. Drawn anew when asked for, which reads no pixel."""
        batches = self._batches
        return batches._shards.opened().draw(
            batches.split, batches.recipe.to_json(), batches.seed, self.epoch, self.ids.tolist()
        )

    def __len__(self) -> int:
        return len(self._native)

    def __repr__(self) -> str:
        return repr(self._native)


class Batches:
    """An iterator over batches; also a context that closes the stream. Made by :meth:`Loader.subscribe`."""

    def __init__(self, shards: "Shards", stream: _native.Stream, recipe: Recipe, split: str, seed: int, start: Cursor) -> None:
        # Not the loader, which would keep a daemon that nobody uses any more.
        self._shards = shards
        self._stream = stream
        self._cursor = start
        self.recipe = recipe
        self.split = split
        self.seed = seed
        _streams.add(self)

    def __len__(self) -> int:
        """Batches of the whole stream, from where it started."""
        return self._stream.num_batches

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        native = self._stream.next()
        if native is None:
            raise StopIteration
        self._cursor = self._after(native)
        return Batch(native, self, self._cursor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the stream. What was taken of its arrays stays valid."""
        self._stream.close()

    @property
    def cursor(self) -> Cursor:
        """Where the stream goes on."""
        return self._cursor

    @property
    def classes(self) -> list[str]:
        """Names of the classes by label."""
        return self._stream.classes

    @property
    def num_samples(self) -> int:
        """Samples of the split, or of the subset."""
        return self._stream.num_samples

    @property
    def steps_per_epoch(self) -> int:
        """Batches of this rank per epoch."""
        return self._stream.steps_per_epoch

    @property
    def num_slots(self) -> int:
        """Slots of the ring, each the memory of one batch."""
        return self._stream.num_slots

    def _after(self, batch: _native.Batch) -> Cursor:
        if batch.step + 1 == self.steps_per_epoch:
            return Cursor(batch.epoch + 1, 0)
        return Cursor(batch.epoch, batch.step + 1)


def _let_go_after_fork() -> None:
    for batches in list(_streams):
        batches._stream.forget()


os.register_at_fork(after_in_child=_let_go_after_fork)
