#!/usr/bin/env python3
"""Oracle for the optimisers: torch.optim's SGD, also Nesterov's with one parameter at ten times the rate, and AdamW, and LARS from its formula, over several steps.

usage: train_optim.py OUT.npz
Parameters: a matrix, a dense and a depthwise convolution, a vector, a matrix of zeros, and one whose gradient is missing in
the first two steps. Keys: start/<name>, grad/<step>/<name>, <method>/<step>/<name>, rates, clipped/<name>.
"""
import sys
import numpy as np
import torch

torch.manual_seed(2)
shapes = dict(matrix=(7, 5), dense=(4, 3, 3, 3), depthwise=(6, 1, 3, 3), vector=(9,), zeros=(3, 4), last_layer=(5, 4))
start = {name: torch.randn(shape) for name, shape in shapes.items()}
start["zeros"].zero_()
steps = 5
grads = [{name: torch.randn(shape) for name, shape in shapes.items()} for _ in range(steps)]
rates = [(0.1 * (step + 1), 0.01 * (step + 1)) for step in range(steps)]
out = {f"start/{name}": value.numpy().copy() for name, value in start.items()}
out["rates"] = np.array(rates)
for step, named in enumerate(grads):
    for name, value in named.items():
        out[f"grad/{step}/{name}"] = value.numpy()


def is_frozen(name, step):
    return name == "last_layer" and step < 2


def decay(name, weight_decay):
    return 0.0 if name in ("vector", "depthwise") else weight_decay


def record(method, step, parameters):
    for name, value in parameters.items():
        out[f"{method}/{step}/{name}"] = value.detach().numpy().copy()


def with_torch(method, make, scale, factor=1.0):
    parameters = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = make([{"params": [value], "name": name} for name, value in parameters.items()])
    for step, (lr, weight_decay) in enumerate(rates):
        for group in optimizer.param_groups:
            own = factor if group["name"] == "matrix" else 1.0
            group["lr"], group["weight_decay"] = lr * scale * own, decay(group["name"], weight_decay)
        for name, value in parameters.items():
            value.grad = None if is_frozen(name, step) else grads[step][name].clone()
        optimizer.step()
        record(method, step, parameters)


def lars():
    """You et al. 2017: d = g + wd p, scaled by .001 |p| / |d| but for vectors; mu = .9 mu + d; p -= lr mu. In double."""
    parameters = {name: value.double() for name, value in start.items()}
    momenta = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for step, (lr, weight_decay) in enumerate(rates):
        for name, value in parameters.items():
            if is_frozen(name, step):
                continue
            update = grads[step][name].double() + decay(name, weight_decay) * value
            if name != "vector":
                p, d = value.norm(), update.norm()
                update = update * (0.001 * p / d if p > 0 and d > 0 else 1.0)
            momenta[name] = 0.9 * momenta[name] + update
            parameters[name] = value - lr * momenta[name]
        record("LARS", step, {name: value.float() for name, value in parameters.items()})


with_torch("SGD", lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9), 1.0)
with_torch("AdamW", lambda groups: torch.optim.AdamW(groups, lr=0.1), 0.1)
with_torch("Nesterov", lambda groups: torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True), 1.0, 10.0)
lars()
for name, value in grads[0].items():
    value = value.clone()
    value.mul_(min(1.0, 3.0 / (value.norm().item() + 1e-6)))
    out[f"clipped/{name}"] = value.numpy()
np.savez(sys.argv[1], **out)
