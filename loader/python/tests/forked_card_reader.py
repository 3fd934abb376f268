"""Reads views in memory of a card and is forked meanwhile: forked_card_reader.py SHARDS SOCKET. The child lets go of all it has inherited, and stays."""

import ctypes
import os
import signal
import sys
import zlib

from card_reader import driver, made_stream, must, raised, tensor_of
from sslight_loader import ForkedError, Loader, views


def checksum(capsule: object, num_bytes: int, stream: ctypes.c_void_p) -> int:
    """Of what lies on the card."""
    copy = ctypes.create_string_buffer(num_bytes)
    must(driver.cuMemcpyDtoHAsync_v2(copy, tensor_of(capsule).data, num_bytes, stream))
    must(driver.cuStreamSynchronize(stream))
    return zlib.crc32(copy)


def main(shards: str, socket: str) -> None:
    stream = made_stream()
    loader = Loader(shards, socket=socket, start=False)
    batches = loader.subscribe(device=0, batch_size=4, views=views.sslight().with_sizes(48, 32), epochs=1000, num_slots=2)
    batch = next(batches)
    capsule = batch.views[0].__dlpack__(stream=stream.value)
    before = checksum(capsule, 4 * 48 * 48 * 3, stream)
    gone, heard = os.pipe()
    child = os.fork()
    if child == 0:
        raised(ForkedError, "subscribe again", lambda: next(batches))
        del capsule, batch
        batches.close()
        os.write(1, f"child {os.getpid()}\n".encode())
        os.close(heard)
        signal.pause()
    os.close(heard)
    os.read(gone, 1)  # Until the child has let go of everything.
    assert checksum(capsule, 4 * 48 * 48 * 3, stream) == before, "the child has given nothing back"
    del capsule, batch
    for _ in range(5):
        next(batches)
    os.write(1, f"parent {os.getpid()}\n".encode())
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
