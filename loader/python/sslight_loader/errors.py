"""What can go wrong. Every error has the loader's words: what happened, where, and what to do."""


class LoaderError(Exception):
    """Anything that this package or the loader refuses or loses."""

    def __init__(self, what: str, place: str = "", remedy: str = "") -> None:
        super().__init__(what, place, remedy)
        self.what = what
        self.place = place
        self.remedy = remedy

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.place, self.remedy) if part)


class LoaderWarning(UserWarning):
    """Something is not as it was asked for, and works all the same."""


class UsageError(LoaderError, ValueError):
    """Something was asked for that makes no sense, or not here."""


class RecipeError(UsageError):
    """The recipe of views breaks a rule; all that it breaks are named."""


class SplitError(UsageError):
    """The data set has no split of that name."""


class BatchSizeError(UsageError):
    """The split has fewer samples than one batch of all ranks."""


class NotPackedError(UsageError):
    """The folder holds no packed set; the message has the line that packs it."""


class VersionError(LoaderError):
    """The loader that answers is of another release."""


class NoLoaderError(LoaderError):
    """No loader answers, and none was to be started."""


class StartError(LoaderError):
    """A loader was started and did not come up; the message has the end of its log."""


class ResourcesError(LoaderError, OSError):
    """The machine lacks memory (for the ring, which is no part of /dev/shm), descriptors, threads or permission."""


class DataError(LoaderError):
    """The data are at fault, such as more bad images than are allowed."""


class LoaderLostError(LoaderError, ConnectionError):
    """The loader ended or died. Subscribe again from the cursor of the last batch."""


class LoaderTimeoutError(LoaderError, TimeoutError):
    """No batch came in time although the loader lives."""


class StreamClosedError(LoaderError):
    """The stream was closed."""


class ForkedError(LoaderError):
    """The stream belongs to the process that forked this one."""


class ArrayReleasedError(LoaderError, BufferError):
    """An array was used after its batch."""


class ArrayKeptError(LoaderError, BufferError):
    """An array was kept past its batch and holds a slot that the loader needs."""


class PackError(LoaderError):
    """The shard tool could not pack a folder; the message has its words."""
