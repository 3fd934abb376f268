#!/usr/bin/env python3
"""Oracle for the schedules, with numpy: warm-up by linspace, then half a cosine; the teacher's temperature by epoch.

usage: train_schedules.py OUT.npz
Keys: <case> holds the values, <case>/of its parameters (base, end, start, epochs, warm-up epochs, steps per epoch).
"""
import sys
import numpy as np

out = {}


def cosine(name, base, end, start, epochs, warmup, steps):
    n = epochs * steps - warmup * steps
    rise = np.linspace(start, base, warmup * steps)
    fall = end + (base - end) / 2 * (1 + np.cos(np.pi * np.arange(n) / n)) if n else np.array([])
    out[name] = np.concatenate([rise, fall])
    out[f"{name}/of"] = np.array([base, end, start, epochs, warmup, steps], dtype=np.float64)


cosine("lr_dino", 0.48 * 1024 / 256, 0.0048, 0.0, 20, 10, 7)
cosine("lr_swav", 0.3 * 1024 / 256, 0.0048, 0.075, 30, 3, 5)
cosine("lr_vit", 0.0005 * 4, 1e-5, 0.0, 12, 1, 1)
cosine("weight_decay", 0.04, 0.4, 0.04, 25, 0, 9)
cosine("momentum", 0.996, 1.0, 0.996, 25, 0, 9)
cosine("all_warm_up", 1.0, 0.0, 0.1, 4, 4, 3)
for name, warmup, epochs in (("temp_long", 50, 200), ("temp_vit", 30, 40), ("temp_cut", 50, 8), ("temp_one", 1, 3), ("temp_none", 0, 3)):
    values = np.concatenate([np.linspace(0.04, 0.07, warmup), np.full(max(epochs - warmup, 0), 0.07)])[:epochs]
    out[name] = values
    out[f"{name}/of"] = np.array([0.04, 0.07, warmup], dtype=np.float64)
np.savez(sys.argv[1], **out)
