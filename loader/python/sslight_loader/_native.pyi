"""The native half."""

from collections.abc import Sequence
from typing import Any, final

from numpy import ndarray
from torch import Tensor

@final
class Array:
    """``uint8`` or ``int64`` numbers that NumPy, torch and JAX take without a copy. Views in memory of a card are taken there, by DLPack alone."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides, outermost first."""
    @property
    def dtype(self) -> str:
        """``uint8`` or ``int64``, as NumPy calls it."""
    def numpy(self) -> ndarray[Any, Any]:
        """As a NumPy array, without a copy; ``BufferError`` where it lies in memory of a card."""
    def torch(self) -> Tensor:
        """As a torch tensor, without a copy, on the card if it lies there. Views in main memory are read-only: writing into them in place ends the process."""
    def tolist(self) -> list[Any]:
        """The numbers as lists of lists; ``BufferError`` where they lie in memory of a card."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray[Any, Any]: ...
    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

@final
class ViewParams:
    """What a view was drawn as, in the order in which it is applied."""

    @property
    def image(self) -> tuple[int, int]:
        """Width and height of the source image in pixels."""
    @property
    def crop(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of what is cut out of it, in pixels."""
    @property
    def resized(self) -> tuple[int, int]:
        """Width and height that the crop is resized to."""
    @property
    def window(self) -> tuple[int, int]:
        """Left and top of the view in the resized crop."""
    @property
    def flip(self) -> bool:
        """Whether it is mirrored left to right."""
    @property
    def jitter(self) -> list[tuple[str, float]] | None:
        """Factors of brightness, contrast and saturation and shift of the hue in turns, in the order in which they are applied."""
    @property
    def grey(self) -> bool:
        """Whether it is made grey."""
    @property
    def blur(self) -> float | None:
        """Radius of the Gaussian blur in pixels."""
    @property
    def solarize(self) -> bool:
        """Whether values of 128 or more are inverted."""

@final
class Batch:
    @property
    def epoch(self) -> int: ...
    @property
    def step(self) -> int: ...
    @property
    def views(self) -> tuple[Array, ...]: ...
    @property
    def labels(self) -> Array: ...
    @property
    def ids(self) -> Array: ...
    def __len__(self) -> int: ...

@final
class Stream:
    def __new__(cls, socket: str, subscription: str, data: Sequence[str], timeout: float, copy: bool, device: int | None = None) -> Stream: ...
    def next(self) -> Batch | None: ...
    def close(self) -> None: ...
    def forget(self) -> None: ...
    @property
    def num_samples(self) -> int: ...
    @property
    def num_batches(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def classes(self) -> list[str]: ...
    @property
    def num_slots(self) -> int: ...
    @property
    def not_on_card(self) -> str | None: ...
    @property
    def loader_pid(self) -> int: ...

@final
class Daemon:
    def __new__(cls, data: Sequence[str], socket: str | None, program: Sequence[str]) -> Daemon: ...
    def close(self) -> None: ...
    def status(self) -> str: ...
    @property
    def socket(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def is_started(self) -> bool: ...

@final
class DataSet:
    def __new__(cls, folders: Sequence[str]) -> DataSet: ...
    def splits(self) -> list[str]: ...
    def num_samples(self, split: str) -> int: ...
    def image(self, split: str, id: int) -> bytes: ...
    def draw(self, split: str, recipe: str, seed: int, epoch: int, ids: Sequence[int]) -> list[list[ViewParams]]: ...

def loader(args: Sequence[str]) -> int: ...
def shard_tool(args: Sequence[str]) -> None: ...
def check_recipe(recipe: str) -> None: ...
def named_recipe(name: str) -> str: ...
