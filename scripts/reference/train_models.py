#!/usr/bin/env python3
"""Oracle for the networks: torchvision's outputs and gradients, and a DINO head written from its description.

usage: train_models.py OUT.npz
Keys: <arch>/<mode>/{features,grad/<name>} (of the residual networks only vectors), <arch>/state/<name>, <arch>/buffers_after/<name>, images, coefficients/<arch>,
head/<variant>/{state/<name>,logits,grad/<name>}, head/features, head/coefficients.
"""
import sys
import numpy as np
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
out = {}


def backbone(arch):
    net = getattr(torchvision.models, arch)(weights=None)
    if arch == "mobilenet_v2":
        net.classifier = torch.nn.Identity()
    else:
        net.fc = torch.nn.Identity()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Fresh statistics would hide a swapped weight and bias, or mean and variance.
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    # Weights that single precision holds exactly, so that both precisions start from the same ones.
    return net.float().double()


def describe(arch):
    net = backbone(arch)
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            out[f"{arch}/state/{name}"] = value.float().numpy().copy()
    width = 1280 if arch == "mobilenet_v2" else (2048 if arch == "resnet50" else 512)
    coefficients = torch.randn(len(images), width)
    out[f"coefficients/{arch}"] = coefficients.numpy()
    for mode in ("eval", "train"):
        net.train(mode == "train")
        net.zero_grad()
        features = net(images)
        (features * coefficients).sum().backward()
        out[f"{arch}/{mode}/features"] = features.detach().numpy()
        for name, parameter in net.named_parameters():
            # A wrong gradient anywhere reaches the vectors before it; the large tensors would only fill the disk.
            if arch == "mobilenet_v2" or parameter.dim() == 1:
                out[f"{arch}/{mode}/grad/{name}"] = parameter.grad.numpy().copy()
    for name, value in net.named_buffers():
        if "num_batches" not in name:
            out[f"{arch}/buffers_after/{name}"] = value.numpy()


images = torch.randn(4, 3, 48, 48)
out["images"] = images.numpy()
for arch in ("mobilenet_v2", "resnet18", "resnet34", "resnet50"):
    describe(arch)


def head(variant, use_bn, learn_g):
    d, hidden, bottleneck, k = 40, 48, 24, 56
    layers = [torch.nn.Linear(d, hidden)]
    for _ in range(2):
        if use_bn:
            layers.append(torch.nn.BatchNorm1d(hidden))
        layers.append(torch.nn.GELU())
        if len([m for m in layers if isinstance(m, torch.nn.Linear)]) < 2:
            layers.append(torch.nn.Linear(hidden, hidden))
    layers.append(torch.nn.Linear(hidden, bottleneck))
    mlp = torch.nn.Sequential(*layers)
    v = torch.randn(k, bottleneck, requires_grad=True)
    g = torch.rand(k, 1) + 0.5 if learn_g else torch.ones(k, 1)
    g.requires_grad_(learn_g)
    weight = g * v / v.norm(dim=1, keepdim=True)
    logits = F.linear(F.normalize(mlp(features), dim=-1), weight)
    (logits * coefficients).sum().backward()
    out[f"head/{variant}/logits"] = logits.detach().numpy()
    named = {f"mlp.{name}": p for name, p in mlp.named_parameters()}
    named |= {"last_layer.weight_v": v, "last_layer.weight_g": g}
    for name, parameter in named.items():
        out[f"head/{variant}/state/{name}"] = parameter.detach().numpy()
        if parameter.grad is not None:
            out[f"head/{variant}/grad/{name}"] = parameter.grad.numpy()


features, coefficients = torch.randn(10, 40), torch.randn(10, 56)
out["head/features"], out["head/coefficients"] = features.numpy(), coefficients.numpy()
head("cnn", True, False)
head("vit", False, True)
np.savez(sys.argv[1], **out)
