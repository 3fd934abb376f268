#!/usr/bin/env python3
"""Oracle for loss scaling: torch.amp.GradScaler with its defaults and SGD, over gradients of which some overflow.

usage: train_scaler.py OUT.npz
Keys, a value for each step: coefficients (the gradient of the unscaled loss), scales (before the step), weights (after it).
"""
import sys
import numpy as np
import torch

LR = 0.001
scaler = torch.amp.GradScaler("cpu")
weight = torch.nn.Parameter(torch.tensor(1.0))
optimizer = torch.optim.SGD([weight], lr=LR)
out = {"coefficients": [], "scales": [], "weights": []}
for step in range(6_300):
    coefficient = 1.0 + step % 7
    if step in (0, 1, 40, 2_500):
        coefficient = float("inf")
    if step == 41:
        coefficient = float("nan")
    if step in (100, 4_600):
        # Finite alone, infinite with the scale.
        coefficient = 1e35
    out["coefficients"].append(coefficient)
    out["scales"].append(scaler.get_scale())
    optimizer.zero_grad()
    scaler.scale(weight * coefficient).backward()
    scaler.step(optimizer)
    scaler.update()
    out["weights"].append(weight.item())
np.savez(sys.argv[1], **{name: np.array(values) for name, values in out.items()})
