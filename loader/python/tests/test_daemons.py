"""Who starts a daemon, who ends it, and what becomes of those who use it."""

import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, WATCHDOG_S, has_ended
from PIL import Image

from sslight_loader import (
    BatchSizeError,
    Cursor,
    ForkedError,
    Loader,
    LoaderLostError,
    LoaderTimeoutError,
    NoLoaderError,
    NotPackedError,
    RecipeError,
    ResourcesError,
    SplitError,
    StartError,
    StreamClosedError,
    UsageError,
    VersionError,
    views,
)

USER = """
import sys
from sslight_loader import Loader, views
with Loader(sys.argv[1]) as loader, loader.subscribe(batch_size=4, views=views.val(64, 32), split="val", epochs=100000) as batches:
    next(batches)
    print(loader.pid)
    sys.stdin.read()
"""


def test_all_who_start_at_once_share_one_daemon_and_the_last_ends_it(shards, user):
    users = [user(USER, shards, stdin=subprocess.PIPE) for _ in range(4)]
    pids = {int(process.stdout.readline()) for process in users}
    assert len(pids) == 1
    for process in users[:3]:
        process.kill()
    with Loader(shards) as loader:
        assert loader.pid in pids
        with loader.subscribe(batch_size=4, views=SMALL) as batches:
            users[3].kill()
            assert len(list(batches)) == 15
    assert has_ended(pids.pop())


def test_a_program_in_rust_and_one_in_python_read_the_same_views_from_one_daemon_at_once(shards, tmp_path):
    example, sheet = Path(os.environ["SSLIGHT_EXAMPLES"], "contact_sheet"), tmp_path / "sheet.png"
    # The Rust one names the daemon's socket and starts none.
    with Loader(shards) as loader, loader.subscribe(batch_size=32, views=views.simclr(), drop_last=False, epochs=1000) as batches:
        first = np.array(next(batches).views[0])
        rust = subprocess.Popen([example, shards, "train", "simclr", sheet, loader.socket], stdout=subprocess.PIPE, text=True)
        while rust.poll() is None:
            next(batches)
        told, _ = rust.communicate(timeout=WATCHDOG_S)
        assert rust.returncode == 0
        next(batches)
    *classes, total = told.splitlines()
    assert "60 images of" in total and [line.split()[0] for line in classes] == ["20"] * 3
    drawn, gap, side = np.asarray(Image.open(sheet)), 4, 224
    for view, row in ((0, 0), (1, 0), (0, 7), (1, 7)):
        left, top = gap + view * (side + gap), gap + row * (side + gap)
        assert np.array_equal(drawn[top : top + side, left : left + side], first[view, row])


def test_a_daemon_ends_with_the_stream_of_five_lines(shards):
    with Loader(shards).subscribe(batch_size=4, views=SMALL) as batches:
        assert len(list(batches)) == 15
    assert has_ended(batches._stream.loader_pid)


def test_a_killed_user_takes_its_daemon_along(shards, user):
    process = user(USER, shards, stdin=subprocess.PIPE)
    pid = int(process.stdout.readline())
    process.kill()
    assert has_ended(pid)


def test_a_daemon_follows_a_killed_one_and_the_stream_goes_on_from_its_cursor(shards):
    loader = Loader(shards)
    options = dict(batch_size=4, views=SMALL, epochs=50)
    with loader.subscribe(**options) as batches:
        first = [batch.ids.tolist() for batch in islice(batches, 3)]
        with loader.subscribe(**options) as again:
            whole = [batch.ids.tolist() for batch in islice(again, 20)]
        os.kill(loader.pid, signal.SIGKILL)
        with pytest.raises(LoaderLostError, match="is gone.*resume"):
            for batch in batches:
                first.append(batch.ids.tolist())
    loader.close()
    with Loader(shards) as loader, loader.subscribe(**options, start=batches.cursor) as batches:
        first += [next(batches).ids.tolist() for _ in range(3)]
    assert first == whole[: len(first)]


def test_who_subscribes_again_after_the_daemon_died_gets_another_if_one_may_be_started(shards):
    with Loader(shards) as loader, Loader(shards, start=False) as guest:
        pid = loader.pid
        os.kill(pid, signal.SIGKILL)
        assert has_ended(pid)
        with pytest.raises(NoLoaderError, match="no loader answers"):
            guest.subscribe(batch_size=4, views=SMALL)
        with loader.subscribe(batch_size=4, views=SMALL) as batches:
            assert len(list(batches)) == 15
        assert loader.pid != pid


def test_a_daemon_that_stands_still_is_a_timeout_and_can_be_interrupted(shards):
    with Loader(shards) as loader, loader.subscribe(batch_size=4, views=SMALL, num_slots=2, epochs=9, timeout=0.3) as batches:
        os.kill(loader.pid, signal.SIGSTOP)
        try:
            with pytest.raises(LoaderTimeoutError, match="is alive"):
                for _ in batches:
                    pass
            os.kill(loader.pid, signal.SIGCONT)
            assert len(next(batches)) == 4
        finally:
            os.kill(loader.pid, signal.SIGCONT)


def test_ctrl_c_is_heard_while_waiting(shards):
    with Loader(shards) as loader, loader.subscribe(batch_size=4, views=SMALL, num_slots=2, epochs=9) as batches:
        os.kill(loader.pid, signal.SIGSTOP)
        try:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                for _ in batches:
                    pass
        finally:
            os.kill(loader.pid, signal.SIGCONT)
        assert len(next(batches)) == 4


def test_a_stream_can_be_closed_while_another_thread_waits(shards):
    with Loader(shards) as loader, loader.subscribe(batch_size=4, views=SMALL, num_slots=2, epochs=9) as batches:
        os.kill(loader.pid, signal.SIGSTOP)
        try:
            threading.Timer(0.5, batches.close).start()
            with pytest.raises(StreamClosedError):
                for _ in batches:
                    pass
        finally:
            os.kill(loader.pid, signal.SIGCONT)


def in_child(test) -> int:
    """Runs `test` in a forked child; its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            test()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_forked_child_is_refused_the_stream_and_may_subscribe_anew(loader):
    with loader.subscribe(batch_size=4, views=SMALL) as batches:
        array = np.asarray(next(batches).views[0])
        copy = array.copy()

        def child():
            nonlocal array
            with pytest.raises(ForkedError, match="subscribe again"):
                next(batches)
            assert np.array_equal(array, copy)
            del array
            batches.close()
            with loader.subscribe(batch_size=4, views=SMALL) as own:
                assert len(list(own)) == 15

        assert in_child(child) == 0
        assert np.array_equal(array, copy)
        del array
        assert len(list(batches)) == 14


def test_a_child_does_not_keep_its_parents_daemon(shards, user):
    # In one piece: without a buffer, `print` writes each of its arguments alone, and two processes do so at once.
    forking = USER.replace("    print(loader.pid)", "    import os\n    print(f'{loader.pid} {os.fork() or str()}\\n', end='')")
    process = user(forking, shards, stdin=subprocess.PIPE)
    told = (process.stdout.readline() + process.stdout.readline()).split()
    # Both tell the daemon's process id, the parent alone that of the child.
    daemon, child = sorted({int(number) for number in told}, key=lambda number: told.count(str(number)), reverse=True)
    process.kill()
    ended = has_ended(daemon)
    os.kill(child, signal.SIGKILL)
    assert ended


def test_nothing_is_started_where_that_is_not_wanted(shards):
    with pytest.raises(NoLoaderError, match="no loader answers"):
        Loader(shards, start=False)


def test_folders_that_are_not_packed_are_told_with_the_line_that_packs_them(images, tmp_path):
    with pytest.raises(NotPackedError, match=r"python -m sslight_loader pack .*shapes --out .*shapes-shards"):
        Loader(images)
    with pytest.raises(UsageError, match="no such folder"):
        Loader(tmp_path / "nowhere")


def test_a_set_that_cannot_be_served_is_told_in_the_daemons_words(shards, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(shards, damaged)
    next(damaged.glob("train-*.tar")).write_bytes(b"short")
    with pytest.raises(StartError, match=r"(?s)ended at its start.*error\[3\]"):
        Loader(damaged)


def test_another_data_set_at_the_socket_is_refused(shards, loader, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(shards, other)
    with pytest.raises(UsageError, match="serves"):
        Loader(other, socket=loader.socket)


@contextmanager
def loader_of_another_release(path):
    """Greets one subscriber at `path`, from this process."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def greet():
            with listener.accept()[0] as peer:
                assert peer.recv(12, socket.MSG_WAITALL).startswith(b"sslight\n")
                peer.sendall(b"sslight\n" + struct.pack("<I", 999))

        greeting = threading.Thread(target=greet)
        greeting.start()
        yield
        greeting.join()


def assert_names_the_other_release(error):
    pid = os.getpid()
    assert type(error) is VersionError and error.what == "protocol mismatch" and error.remedy == "use binaries of one release"
    assert re.fullmatch(rf"this side speaks version \d+, process {pid} version 999 \(kill {pid} ends it\)", error.place), error.place


@pytest.mark.parametrize("start", [True, False])
def test_a_loader_of_another_release_is_named_and_none_is_started_beside_it(shards, tmp_path, start):
    path = tmp_path / "old.sock"
    with loader_of_another_release(path), pytest.raises(VersionError) as raised:
        Loader(shards, socket=path, start=start)
    assert_names_the_other_release(raised.value)
    assert not path.with_suffix(".log").exists()


def test_a_loader_that_was_replaced_by_one_of_another_release_is_told_to_who_subscribes(shards, tmp_path):
    path = tmp_path / "loader.sock"
    loader = Loader(shards, socket=path)
    os.kill(loader.pid, signal.SIGKILL)
    assert has_ended(loader.pid)
    path.unlink()
    with loader_of_another_release(path), pytest.raises(VersionError) as raised:
        loader.subscribe(batch_size=4, views=SMALL)
    assert_names_the_other_release(raised.value)


@pytest.mark.parametrize(
    ("error", "words", "subscription"),
    [
        (SplitError, "no split `test`.*train, val", dict(split="test")),
        (BatchSizeError, "too few samples.*61 needed", dict(batch_size=61)),
        (RecipeError, "'dino' is no recipe", dict(views="dino")),
        (RecipeError, "function dino.* is no recipe", dict(views=views.dino)),
        (UsageError, "rank 2 of 2", dict(rank=2, world_size=2)),
        (UsageError, "belong together", dict(rank=2)),
        (UsageError, "start step 15", dict(batch_size=4, start=Cursor(0, 15))),
        (ResourcesError, "too little memory.*MiB needed", dict(batch_size=60, views=views.val(4000, 4000), num_slots=1024)),
    ],
)
def test_bad_use_has_a_class_and_the_loaders_words(loader, error, words, subscription):
    with pytest.raises(error, match=words) as raised:
        loader.subscribe(**{"views": SMALL, **subscription})
    assert type(raised.value) is error and raised.value.remedy


def test_status_is_plain_data(loader):
    status = loader.status()
    assert status["pid"] == loader.pid and json.dumps(status)
