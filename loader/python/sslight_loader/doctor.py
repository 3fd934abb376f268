"""``python -m sslight_loader doctor PATH``: is this machine, and this data set, fit?"""

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

from . import views
from .errors import LoaderError, LoaderWarning
from .loader import Loader

_T = TypeVar("_T")


def main(args: list[str]) -> int:
    """Prints a line for each thing that was looked at; 1 if one is not as it should be."""
    parser = argparse.ArgumentParser("python -m sslight_loader doctor", description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--split", help="split to read a batch from [default: the first]")
    asked = parser.parse_args(args)
    print(f"ok    sslight-loader {_version('sslight-loader')}, Python {platform.python_version()}, {os.cpu_count()} cores")
    for package in ("numpy", "torch", "jax"):
        print(f"ok    {package} {_version(package)}" if importlib.util.find_spec(package) else f"note  {package} is not installed")
    loader = _tried("data and daemon", lambda: Loader(asked.path), repr)
    if loader is None:
        return 1
    with loader:
        splits = _tried("splits", lambda: loader.splits, _shown)
        if not splits:
            return 1
        split = asked.split or next(iter(splits))
        print(_card(loader, split))
        batch = _tried(f"a batch of `{split}`", lambda: _first_batch(loader, split), str)
        bad = _tried("bad samples", lambda: loader.status()["failures"], lambda failures: f"{failures or 'none'} so far")
    return 0 if batch and bad is not None else 1


def _first_batch(loader: Loader, split: str) -> str:
    start = time.perf_counter()
    with loader.subscribe(split, batch_size=1, views=views.val(), shuffle=False) as batches:
        batch = next(batches)
        return f"{batch.views[0].shape} in {time.perf_counter() - start:.2f} s, {len(batches.classes)} classes"


def _card(loader: Loader, split: str) -> str:
    """Whether views can lie on the first card that this process sees. A machine without one is as fit as any."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", LoaderWarning)
            loader.subscribe(split, batch_size=1, views=views.val(), shuffle=False, device="cuda").close()
    except (LoaderError, LoaderWarning) as error:
        return f"note  no views on a card: {error}"
    return "ok    views on a card: this process and the daemon share its memory"


def _tried(what: str, look: Callable[[], _T], shown: Callable[[_T], str]) -> _T | None:
    try:
        found = look()
    except Exception as error:
        print(f"BAD   {what}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    print(f"ok    {what}: {shown(found)}")
    return found


def _shown(splits: dict[str, int]) -> str:
    return ", ".join(f"{split} {num_samples}" for split, num_samples in splits.items())


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
