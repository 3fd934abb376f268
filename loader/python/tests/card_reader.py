"""Reads views in memory of a card: card_reader.py SHARDS SOCKET prints a line for each sample, with the checksum of each of its views.

It knows the card by the driver alone, and takes arrays as any library does: by their DLPack capsules. All copies are only asked for while batches come; the card
makes them when it likes.
"""

import ctypes
import sys
import warnings
import zlib

from sslight_loader import ArrayKeptError, ArrayReleasedError, Loader, UsageError, views

CUDA = (2, 0)
driver = ctypes.CDLL("libcuda.so.1")
driver.cuMemcpyDtoHAsync_v2.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


class Tensor(ctypes.Structure):
    """``DLTensor`` as the first field of ``DLManagedTensor``."""

    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32 * 2)]


def must(status: int) -> None:
    assert status == 0, status


def made_stream() -> ctypes.c_void_p:
    """A stream of the first card, whose context is this thread's from then on."""
    context, stream = ctypes.c_void_p(), ctypes.c_void_p()
    must(driver.cuInit(0))
    must(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0))
    must(driver.cuCtxSetCurrent(context))
    must(driver.cuStreamCreate(ctypes.byref(stream), 1))
    return stream


def current() -> int | None:
    """The context of this thread."""
    context = ctypes.c_void_p()
    must(driver.cuCtxGetCurrent(ctypes.byref(context)))
    return context.value


def tensor_of(capsule: object) -> Tensor:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return Tensor.from_address(pointer(capsule, b"dltensor"))


def raised(kind: type[Exception], words: str, call) -> None:
    try:
        call()
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"no {kind.__name__}")


def check_refusals(batch) -> None:
    """What cannot be done with an array on a card is said."""
    array = batch.views[0]
    assert array.__dlpack_device__() == CUDA
    for read in (array.numpy, array.tolist, lambda: memoryview(array)):
        raised(BufferError, "memory of a card", read)
    raised(BufferError, "take it there first", lambda: array.__dlpack__(dl_device=(1, 0)))
    raised(BufferError, "copy them there", lambda: array.__dlpack__(copy=True))
    raised(BufferError, "stream 0", lambda: array.__dlpack__(stream=0))


def main(shards: str, socket: str) -> None:
    stream = made_stream()
    ours = current()
    loader = Loader(shards, socket=socket, start=False)
    raised(UsageError, "copy=True", lambda: loader.subscribe(copy=True, device="cuda"))
    raised(UsageError, "no device", lambda: loader.subscribe(device="cuba"))
    asked = {"batch_size": 4, "views": views.sslight().with_sizes(48, 32), "seed": 3, "shuffle": False, "drop_last": False}
    copies = []
    with warnings.catch_warnings(), loader.subscribe(device="cuda:0", num_slots=3, **asked) as batches:
        warnings.simplefilter("error")
        for batch in batches:
            if not copies:
                check_refusals(batch)
            for array in batch.views:
                num_views, num_samples, *sides = array.shape
                # The views of the padding are there, too.
                copy = ctypes.create_string_buffer(num_views * 4 * sides[0] * sides[1] * sides[2])
                capsule = array.__dlpack__(stream=stream.value)
                tensor = tensor_of(capsule)
                assert tuple(tensor.device) == CUDA
                must(driver.cuMemcpyDtoHAsync_v2(copy, tensor.data, len(copy), stream))
                copies.append((batch.ids.tolist(), num_views, copy))
                del capsule, tensor
        last = array
    raised(ArrayReleasedError, "after its batch", last.__dlpack_device__)
    with loader.subscribe(device=0, **asked) as batches:
        kept = next(batches).views[0].__dlpack__(stream=-1)
        next(batches)
        raised(ArrayKeptError, "kept past its batch", lambda: next(batches))
        del kept
        next(batches)
        must(driver.cuStreamSynchronize(stream))
        other = ctypes.c_void_p()
        must(driver.cuDevicePrimaryCtxRetain(ctypes.byref(other), 1))
        must(driver.cuCtxSetCurrent(other))
    del batches
    assert current() == other.value, "the thread's context is as it was"
    must(driver.cuCtxSetCurrent(ctypes.c_void_p(ours)))
    sums: dict[int, list[str]] = {}
    for ids, num_views, copy in copies:
        view_bytes = len(copy) // num_views // 4
        for view in range(num_views):
            for row, id in enumerate(ids):
                start = (view * 4 + row) * view_bytes
                sums.setdefault(id, []).append(f"{zlib.crc32(copy.raw[start : start + view_bytes]):08x}")
    for id, of_views in sorted(sums.items()):
        print(id, *of_views)


if __name__ == "__main__":
    main(*sys.argv[1:])
