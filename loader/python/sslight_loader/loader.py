"""The loader of a data set."""

import json
import operator
import os
import subprocess
import sys
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from . import _native
from .batches import Batches, Cursor, Shards
from .errors import LoaderWarning, NoLoaderError, NotPackedError, PackError, RecipeError, UsageError
from .views import Recipe, sslight

_PROGRAM = [sys.executable, "-m", "sslight_loader"]
_loaders: "weakref.WeakSet[Loader]" = weakref.WeakSet()

Folder = str | os.PathLike[str]


class Loader:
    """Attaches to the daemon that serves a packed data set, or starts one. All who use a data set share one daemon, which ends with the last of them. Where it has died,
    :meth:`subscribe` attaches anew.

    ``path`` is a folder that ``Loader.pack`` or ``shard-tool pack`` wrote, or several that are served as one. ``socket`` names a daemon that was
    started by hand. With ``start=False`` none is started.
    """

    def __init__(self, path: Folder | Sequence[Folder], *, socket: Folder | None = None, start: bool = True) -> None:
        folders = [path] if isinstance(path, str | os.PathLike) else list(path)
        self.folders = [str(Path(folder).resolve()) for folder in folders]
        self._socket = None if socket is None else str(Path(socket).absolute())
        self._may_start = start
        self._native: _native.Daemon | None = None
        self._shards = Shards(self.folders)
        self._daemon()
        _loaders.add(self)

    def subscribe(
        self,
        split: str = "train",
        batch_size: int = 256,
        views: Recipe | None = None,
        seed: int = 0,
        *,
        epochs: int = 1,
        shuffle: bool | None = None,
        drop_last: bool | None = None,
        subset: Sequence[str] | None = None,
        start: Cursor = Cursor(0, 0),
        rank: int | None = None,
        world_size: int | None = None,
        num_slots: int | None = None,
        copy: bool = False,
        device: Any = "cpu",
        timeout: float = 300.0,
        name: str | None = None,
    ) -> Batches:
        """Subscribes to batches of this process.

        :param batch_size: samples in a batch of this rank.
        :param views: recipe of the views; SSLight's if it is not said.
        :param epochs: the stream ends before this epoch, counted from 0, whatever ``start`` is.
        :param shuffle: another order in every epoch, the same for all ranks; if not said, for the split ``train`` alone.
        :param drop_last: leave out samples that fill no batch of all ranks; if not said, as ``shuffle``. Else the last batch is smaller.
        :param subset: names of images, alone (``cat_1.jpg``) or behind their class (``cat/1.jpg``).
        :param start: the cursor of the batch to go on after.
        :param rank: this rank; if not said, ``RANK`` and ``WORLD_SIZE`` of the environment, as ``torchrun`` sets them.
        :param num_slots: slots of the ring, each the memory of one batch; at least 2.
        :param copy: every batch is a copy of its own, which may be kept and written.
        :param device: where the views shall lie: ``"cpu"``, or ``"cuda"`` (the first), ``"cuda:1"``, a number or a ``torch.device`` for memory of a card that this process
            sees. Where the daemon cannot make them there they lie in main memory, and a :class:`LoaderWarning` says why. A slot is filled anew once the streams
            that took its arrays (``x.torch()`` takes for the current one) have done what was put onto them before the arrays were dropped.
        :param timeout: seconds to wait for a batch at most.
        :param name: what ``loader status`` shows.
        """
        recipe = sslight() if views is None else views
        if not isinstance(recipe, Recipe):
            raise RecipeError(f"{recipe!r} is no recipe", "", "give one of sslight_loader.views, such as views.dino()")
        recipe.check()
        rank, world_size = _rank(rank, world_size)
        shuffle = split == "train" if shuffle is None else shuffle
        if start.epoch >= epochs:
            raise UsageError(f"a stream of {epochs} epochs cannot start in epoch {start.epoch}", "", "ask for more epochs")
        subscription = {
            "name": name or Path(sys.argv[0] or "python").name,
            "split": split,
            "subset": None if subset is None else list(subset),
            "recipe": json.loads(recipe.to_json()),
            "batch_size": batch_size,
            "rank": rank,
            "world_size": world_size,
            "seed": seed,
            "order": "shuffled" if shuffle else "sequential",
            "drop_last": shuffle if drop_last is None else drop_last,
            "start_epoch": start.epoch,
            "start_step": start.step,
            "num_epochs": epochs - start.epoch,
            "num_slots": num_slots,
        }
        asked = json.dumps(subscription, default=operator.index), self.folders, timeout, copy, _card(device)
        try:
            stream = _native.Stream(self._daemon().socket, *asked)
        except NoLoaderError:
            self.close()  # The daemon has died since we attached to it.
            stream = _native.Stream(self._daemon().socket, *asked)
        if stream.not_on_card is not None:
            warnings.warn(f"views lie in main memory, not on device {device!r}: {stream.not_on_card}", LoaderWarning, stacklevel=2)
        return Batches(self._shards, stream, recipe, split, seed, start)

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself and of its subscribers: rates, waits, bad samples."""
        status: dict[str, Any] = json.loads(self._daemon().status())
        return status

    def image(self, id: int, split: str = "train") -> bytes:
        """The image file of a sample, as it was packed."""
        return self._shards.opened().image(split, id)

    @property
    def splits(self) -> dict[str, int]:
        """Number of samples of every split."""
        data_set = self._shards.opened()
        return {split: data_set.num_samples(split) for split in data_set.splits()}

    @property
    def pid(self) -> int:
        """Process id of the daemon."""
        return self._daemon().pid

    @property
    def socket(self) -> str:
        """Where the daemon listens."""
        return self._daemon().socket

    def close(self) -> None:
        """Lets go of the daemon; streams go on until they are closed themselves. Asking for anything attaches anew."""
        if self._native is not None:
            self._native.close()
        self._native = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Loader {', '.join(self.folders)}: {self._native}>"

    @staticmethod
    def pack(folder: Folder, out: Folder | None = None, *options: str) -> Path:
        """Packs a folder of images (``folder[/SPLIT]/CLASS/IMAGE``), archives or lists and returns the folder of shards, ``FOLDER-shards`` if it is
        not said. ``options`` are those of ``shard-tool pack``."""
        source = Path(folder).resolve()
        packed = Path(out).resolve() if out is not None else source.with_name(source.name + "-shards")
        command = [*_PROGRAM, "pack", str(source), "--out", str(packed), *options]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise PackError(done.stderr.strip() or f"packing ended with {done.returncode}", str(source))
        return packed

    def _daemon(self) -> _native.Daemon:
        if self._native is None:
            try:
                self._native = _native.Daemon(self.folders, self._socket, _PROGRAM if self._may_start else [])
            except NotPackedError as error:
                folder = error.place
                remedy = f"pack it: Loader.pack({folder!r}), or python -m sslight_loader pack {folder} --out {folder}-shards"
                raise NotPackedError(error.what, folder, remedy) from None
        return self._native


def _card(device: object) -> int | None:
    if isinstance(device, int) and device >= 0:
        return device
    kind, _, number = str(device).partition(":")
    if kind == "cuda" and (number.isdecimal() or not number):
        return int(number or 0)
    if kind == "cpu":
        return None
    raise UsageError(f"there is no device {device!r}", "", 'say "cpu", "cuda", "cuda:1" or the number of a card')


def _rank(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if (rank is None) != (world_size is None):
        raise UsageError("rank and world_size belong together", "", "give both or none")
    if rank is not None and world_size is not None:
        return rank, world_size
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def _let_go_after_fork() -> None:
    for loader in list(_loaders):
        loader.close()


os.register_at_fork(after_in_child=_let_go_after_fork)
