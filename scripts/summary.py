#!/usr/bin/env python3
"""What scripts/quickstart needs to know of a run: how long it should be, and what came out. Standard library only.

usage: summary.py plan RECIPE SHARDS   prints the trainer's overrides, one word a line
       summary.py table RUN            prints the table of results, and what to do where nothing was learnt
       summary.py keep RUN FOLDER      keeps it as FOLDER/DATE-MACHINE.json, for scripts/tables
"""
import datetime
import json
import os
import pathlib
import statistics
import sys

# The batch size of each recipe, and about how many steps three minutes on two cores allow.
LENGTHS = {"configs/demo.yaml": (32, 620), "configs/imagenette/moco.yaml": (64, 1000)}


def plan(recipe, shards):
    batch, steps = LENGTHS[recipe]
    manifest = json.loads((pathlib.Path(shards) / "manifest.json").read_text())
    steps_per_epoch = manifest["splits"]["train"]["num_samples"] // batch
    epochs = max(1, min(60, round(steps / max(1, steps_per_epoch))))
    words = ["SOLVER.TOTAL_EPOCHS", epochs, "SOLVER.WARMUP_EPOCHS", min(1, epochs - 1)]
    if steps_per_epoch > steps:
        words += ["TRAIN.MAX_STEPS", steps]
    print("\n".join(map(str, words)))


def results(run):
    """Rows of the table, and the first and last validation."""
    lines = [json.loads(line) for line in (run / "run/metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    validations = [line for line in lines if "knn_top1" in line]
    before, after = validations[0], validations[-1]
    assert before["step"] == 0, "the first validation is of the random backbone"
    rate = statistics.median(line["images_per_s"] for line in steps)
    probe = after.get("probe_top1")
    rows = [
        ("kNN top-1, random backbone", f"{before['knn_top1']:.1f} %"),
        ("kNN top-1, after training", f"{after['knn_top1']:.1f} %"),
        ("linear probe top-1, after training", "-" if probe is None else f"{probe:.1f} %"),
        ("training speed, median", f"{rate:.1f} img/s"),
        ("steps", str(len(steps))),
    ]
    return rows, before, after


def advice(run, before, after):
    """What to do where the accuracy stayed within twice its sampling error."""
    share, num = before["knn_top1"] / 100, after["knn_samples"]
    error = 100 * (share * (1 - share) / num) ** 0.5
    if after["knn_top1"] - before["knn_top1"] > 2 * error:
        return
    images = json.loads((run / "shards/manifest.json").read_text())["splits"]["train"]["num_samples"]
    # The recipe's own 60 epochs are no longer than a quick look at few images.
    epochs = max(60, 4 * after["epoch"])
    print(f"""The accuracy has not risen: the change is within twice its sampling error ({error:.1f} points on {num} images). This quick look is
{after["step"]} steps of small views over {images:,} images, too few to learn much from photographs. Ten thousand images or more are
wanted: with 480 of Imagenette's, 240 epochs raised the linear probe (36 to 48 %) and not kNN. The same recipe for longer:

    target/release/trainer --cfg configs/imagenette/moco.yaml DATA.PATH_TO_DATA_DIR {run / "shards"} SOLVER.TOTAL_EPOCHS {epochs} OUTPUT_DIR runs/longer
""")


def table(run):
    run = pathlib.Path(run)
    rows, before, after = results(run)
    for name, value in rows:
        print(f"| {name:<36}| {value:>11} |")
    print(f"(on {after['knn_samples']} images of split {after['knn_split']}, leave one out)\n")
    advice(run, before, after)
    for name, path in [
        ("loss and accuracy curves", run / "run/curves.png"),
        ("contact sheet of the views", run / "views.png"),
        ("metrics, a line per step", run / "run/metrics.jsonl"),
        ("checkpoints", run / "run/checkpoints"),
        ("shards", run / "shards"),
    ]:
        print(f"{name:<28}{path.resolve()}")


def keep(run, folder):
    rows, _, after = results(pathlib.Path(run))
    names = [line.split(":", 1)[1].split() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    machine = f"{' '.join(names[0]) if names else 'unknown'}, {os.cpu_count()} cores"
    what = f"scripts/quickstart on generated images, {after['knn_samples']} of them for validation"
    slug = "-".join("".join(c if c.isalnum() else " " for c in machine.lower()).split())
    file = pathlib.Path(folder) / f"{datetime.date.today().isoformat()}-{slug}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine, "what": what, "columns": ["", ""], "rows": [list(row) for row in rows]}
    file.write_text(json.dumps(result, indent=2) + "\n")


{"plan": plan, "table": table, "keep": keep}[sys.argv[1]](*sys.argv[2:])
