#!/usr/bin/env python3
"""What scripts/quickstart needs to know of a run: how long it should be, and what came out. Standard library only.

usage: summary.py plan SHARDS    prints the trainer's overrides, one word a line
       summary.py table RUN      prints the table of results
"""
import json
import pathlib
import statistics
import sys

BATCH, STEPS = 32, 620  # the demo's batch size, and about how many steps three minutes on two cores allow


def plan(shards):
    manifest = json.loads((pathlib.Path(shards) / "manifest.json").read_text())
    steps_per_epoch = manifest["splits"]["train"]["num_samples"] // BATCH
    epochs = max(1, min(60, round(STEPS / max(1, steps_per_epoch))))
    words = ["SOLVER.TOTAL_EPOCHS", epochs, "SOLVER.WARMUP_EPOCHS", min(1, epochs - 1)]
    if steps_per_epoch > STEPS:
        words += ["TRAIN.MAX_STEPS", STEPS]
    print("\n".join(map(str, words)))


def table(run):
    run = pathlib.Path(run)
    lines = [json.loads(line) for line in (run / "run/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    validations = [line for line in lines if "knn_top1" in line]
    before, after = validations[0], validations[-1]
    rate = statistics.median(line["images_per_s"] for line in steps)
    probe = after.get("probe_top1")
    rows = [
        ("kNN top-1, random backbone", f"{before['knn_top1']:.1f} %"),
        ("kNN top-1, after training", f"{after['knn_top1']:.1f} %"),
        ("linear probe top-1, after training", "-" if probe is None else f"{probe:.1f} %"),
        ("training speed, median", f"{rate:.1f} img/s"),
        ("steps", str(len(steps))),
    ]
    for name, value in rows:
        print(f"| {name:<36}| {value:>11} |")
    print(f"(on {after['knn_samples']} images of split {after['knn_split']}, leave one out)\n")
    for name, path in [
        ("loss and accuracy curves", run / "run/curves.png"),
        ("contact sheet of the views", run / "views.png"),
        ("metrics, a line per step", run / "run/metrics.jsonl"),
        ("checkpoints", run / "run/checkpoints"),
        ("shards", run / "shards"),
    ]:
        print(f"{name:<28}{path.resolve()}")


{"plan": plan, "table": table}[sys.argv[1]](sys.argv[2])
