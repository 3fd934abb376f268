"""Reads batches through Python's ctypes alone, and prints for each sample of an epoch: its id, its label, and the sum of its first view.

    python sums.py libsslight_loader.so SHARDS SOCKET

What ctypes needs, any language that can call C can have; for Python there is the package sslight_loader.
"""

import ctypes
import json
import sys
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64

OK, END = 0, 10


class Error(Structure):
    _fields_ = [("text", c_char * 1024)]


class Views(Structure):
    _fields_ = [("data", POINTER(c_uint8)), ("shape", c_int64 * 5), ("device_type", c_int32), ("device_id", c_int32)]


class Batch(Structure):
    _fields_ = [
        ("handle", c_uint64),
        ("epoch", c_uint64),
        ("step", c_uint64),
        ("next_epoch", c_uint64),
        ("next_step", c_uint64),
        ("num_valid", c_size_t),
        ("labels", POINTER(c_int64)),
        ("ids", POINTER(c_uint64)),
        ("num_groups", c_size_t),
        ("views", POINTER(Views)),
    ]


def main(library: str, shards: str, socket: str) -> None:
    lib, error = ctypes.CDLL(library), Error()
    lib.sslight_next.argtypes = [c_uint64, c_uint64, POINTER(Batch), POINTER(Error)]
    lib.sslight_release.argtypes = [c_uint64, POINTER(Error)]

    def must(status: int) -> None:
        if status != OK:
            sys.exit(f"sums: {error.text.decode()}")

    loader, stream, batch = c_uint64(), c_uint64(), Batch()
    folders = (c_char_p * 1)(shards.encode())
    must(lib.sslight_connect(c_uint32(2), folders, c_size_t(1), socket.encode(), None, c_uint64(10_000), byref(loader), byref(error)))
    asked = json.dumps({"recipe": "moco", "batch_size": 8, "seed": 5, "drop_last": False})
    must(lib.sslight_subscribe(loader, asked.encode(), byref(stream), byref(error)))
    while (status := lib.sslight_next(stream.value, 60_000, byref(batch), byref(error))) != END:
        must(status)
        views = batch.views[0]
        _, _, height, width, channels = views.shape
        num_bytes = height * width * channels
        start = ctypes.addressof(views.data.contents)
        for row in range(batch.num_valid):
            view = (c_uint8 * num_bytes).from_address(start + row * num_bytes)
            print(batch.ids[row], batch.labels[row], sum(bytes(view)))
        must(lib.sslight_release(batch.handle, byref(error)))
    must(lib.sslight_release(stream.value, byref(error)))
    must(lib.sslight_release(loader.value, byref(error)))


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 4 else sys.exit(__doc__)
