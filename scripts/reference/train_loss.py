#!/usr/bin/env python3
"""Oracle for the DINO loss: every pair of views in a plain loop, in double precision, over several steps with the centre.

usage: train_loss.py OUT.npz
Keys per case and step: <case>/<step>/{student,teacher,loss,grad,center}; per case: <case>/temps.
"""
import sys
import numpy as np
import torch

torch.manual_seed(1)
out = {}


def loss_of(student, teacher, center, temp, views, weights, global_only):
    g, l = views
    s = (student / 0.1).chunk(g + l)
    t = torch.softmax((teacher - center) / temp, dim=-1).detach().chunk(g)
    same, other = [], []
    for i in range(g):
        for j in range(g + l):
            if i == j:
                continue
            term = -(t[i] * torch.log_softmax(s[j], dim=-1)).sum(-1).mean()
            (same if j < g else other).append(term)
    mean_same = sum(same) / len(same)
    if global_only:
        return mean_same
    return weights[0] * mean_same + weights[1] * sum(other) / len(other)


def case(name, views, weights, global_only):
    batch, k = 5, 33
    center = torch.zeros(1, k, dtype=torch.float64)
    temps = [0.04, 0.055, 0.07]
    out[f"{name}/temps"] = np.array(temps)
    for step, temp in enumerate(temps):
        student = torch.randn(sum(views) * batch, k, dtype=torch.float64, requires_grad=True)
        teacher = torch.randn(views[0] * batch, k, dtype=torch.float64) * 0.3 + 0.1
        loss = loss_of(student, teacher, center, temp, views, weights, global_only)
        loss.backward()
        center = 0.9 * center + 0.1 * teacher.mean(0, keepdim=True)
        values = dict(student=student, teacher=teacher, loss=loss, grad=student.grad, center=center)
        for key, value in values.items():
            out[f"{name}/{step}/{key}"] = value.detach().numpy().astype(np.float32)


case("sslight", (2, 6), (0.4, 0.6), False)
case("baseline", (2, 6), (1 / 7, 6 / 7), False)
case("ten_locals", (2, 10), (1 / 11, 10 / 11), False)
case("global_only", (2, 2), (0.4, 0.6), True)
np.savez(sys.argv[1], **out)
