"""``python -m sslight_loader bench PATH``: how fast views reach Python, and what bounds that."""

import argparse
import json
import os
import time
from typing import Any

from . import views
from .errors import LoaderTimeoutError
from .loader import Loader

_NAME = "sslight_loader bench"
_READY = "sslight_loader bench, ready batches"
_PATIENCE_S = 60.0
_RECIPES = {name: getattr(views, name) for name in ("sslight", "dino", "swav", "moco", "simclr", "supervised", "val")}


def main(args: list[str]) -> int:
    """Prints images per second, the stages of a batch, and the time of one that is ready."""
    parser = argparse.ArgumentParser("python -m sslight_loader bench", description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--views", choices=_RECIPES, default="sslight")
    parser.add_argument("--split", default="train")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu", help="where the views shall lie: cpu, or cuda, cuda:1 for memory of a card")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    asked = parser.parse_args(args)
    with Loader(asked.path) as loader:
        options = {"split": asked.split, "batch_size": asked.batch_size, "views": _RECIPES[asked.views](), "epochs": 1 << 20, "device": asked.device}
        rate, status = images_per_s(loader, asked.seconds, **options)
        ready_us = ready_us_per_batch(loader, **options)
    told = {"images_per_s": rate, "us_for_a_ready_batch": ready_us, "stages": status["stages"], "bound": status["bound"]}
    if asked.json:
        print(json.dumps(told))
        return 0
    print(f"{rate:.1f} images/s, {asked.views} views, batches of {asked.batch_size}, device {asked.device}")
    print(f"{ready_us:.1f} us for a batch that is ready")
    print(f"{'stage':<30} {'images':>12} {'ms/batch':>10} {'busy':>7}")
    for stage in status["stages"]:
        print(f"{stage['stage']:<30} {stage['num_images']:>12} {stage['ms_per_batch']:>10.2f} {100 * stage['busy']:>5.1f} %")
    print(status["bound"])
    return 0


def images_per_s(loader: Loader, seconds: float, **subscription: object) -> tuple[float, dict[str, Any]]:
    """Images per second over about ``seconds``, from the second batch on, and what the daemon then says of the stream."""
    with loader.subscribe(name=_NAME, **subscription) as batches:  # type: ignore[arg-type]
        next(batches)
        start, num_images = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds or not num_images:
            num_images += len(next(batches))
        rate = num_images / max(elapsed, time.perf_counter() - start)
        return rate, _ours(loader, _NAME)


def ready_us_per_batch(loader: Loader, num_rounds: int = 20, **subscription: object) -> float:
    """Median microseconds of ``next`` and taking the views, when the ring is full."""
    times = []
    with loader.subscribe(name=_READY, **subscription) as batches:  # type: ignore[arg-type]
        for num_taken in range(num_rounds):
            # The slots that we hold ourselves are two at most.
            _ours(loader, _READY, num_taken + batches.num_slots - 2)
            start = time.perf_counter()
            batch = next(batches)
            # As a library takes them for the default stream, which the CPU has none of.
            taken = [view.__dlpack__(stream=None) for view in batch.views]
            times.append(1e6 * (time.perf_counter() - start))
            del taken
    return sorted(times)[len(times) // 2]


def _ours(loader: Loader, name: str, num_published: int = 0) -> dict[str, Any]:
    """What the daemon says of our stream of this name once it has published so many batches. It answers a subscriber before it lists him."""
    most = time.monotonic() + _PATIENCE_S
    while time.monotonic() < most:
        for one in loader.status()["subscribers"]:
            if (one["pid"], one["name"]) == (os.getpid(), name) and one["num_published"] >= num_published:
                return one
        time.sleep(0.01)
    raise LoaderTimeoutError("the daemon lists no new batch of this stream", name, "see loader status, and try again")
