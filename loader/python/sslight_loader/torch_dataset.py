"""The loader as a ``torch.utils.data.IterableDataset``."""

import os
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import IterableDataset, get_worker_info

from .batches import Batches, Cursor
from .errors import UsageError
from .loader import Folder, Loader

Item = tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor]


class LoaderDataset(IterableDataset[Item]):
    """Whole batches as tensors: ``(views, labels, ids)``. Every ``iter`` is one epoch, and the next one follows by itself,
    also where an epoch was left before its end (a first look at a batch, a limit on the steps).

    Keyword arguments are those of :meth:`Loader.subscribe`, less ``epochs`` and ``start``. It may be given to ``DataLoader(dataset, batch_size=None)``, which adds nothing: images are decoded
    in the daemon, so there must be no workers. Tensors of views in main memory are read-only until ``copy=True``; convert them (``x.float()``) or move them.
    """

    _start: Cursor  # of the next iter
    _next: Cursor  # the state: the batch after the one that was given last

    def __init__(self, path: Folder, **subscription: Any) -> None:
        self._loader = Loader(path)
        self._subscription = subscription
        self._go_to(Cursor(0, 0))
        with self._subscribe(self._start) as batches:
            self._len = batches.steps_per_epoch
            self.classes = batches.classes
            self.num_samples = batches.num_samples

    def __len__(self) -> int:
        """Batches of an epoch, for this rank."""
        return self._len

    def set_epoch(self, epoch: int) -> None:
        """The next ``iter`` is this epoch, from its start, unless a state that was loaded is in its midst."""
        if epoch != self._start.epoch:
            self._go_to(Cursor(epoch, 0))

    def state_dict(self) -> dict[str, int]:
        """Where the next batch is."""
        return {"epoch": self._next.epoch, "step": self._next.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next ``iter`` goes on there."""
        self._go_to(Cursor(state["epoch"], state["step"]))

    def __iter__(self) -> Iterator[Item]:
        if get_worker_info() is not None:
            raise UsageError("this data set is read in a worker", f"process {os.getpid()}", "use DataLoader(dataset, batch_size=None, num_workers=0)")
        start = self._next = self._start
        self._start = Cursor(start.epoch + 1, 0)
        with self._subscribe(start) as batches:
            for batch in batches:
                self._next = batch.cursor
                yield tuple(view.torch() for view in batch.views), batch.labels.torch(), batch.ids.torch()
                del batch

    def _go_to(self, cursor: Cursor) -> None:
        self._start = self._next = cursor

    def _subscribe(self, start: Cursor) -> Batches:
        return self._loader.subscribe(epochs=start.epoch + 1, start=start, **self._subscription)
