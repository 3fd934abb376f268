#!/usr/bin/env python3
"""Oracle for the networks: torchvision's and timm's outputs and gradients, and a DINO head written from its description.

usage: train_models.py OUT.npz
Keys: <arch>/<mode>/{features,grad/<name>} (but for MobileNetV2 only vectors and tokens), <arch>/state/<name>, <arch>/buffers_after/<name>, images, coefficients/<arch>,
vit_tiny/<side>/{images,features},
head/<variant>/{state/<name>,logits,grad/<name>}, head/features, head/coefficients.
"""
import sys
import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
out = {}


class Vit(torch.nn.Module):
    """timm's blocks between a resizing of the position embedding by scale (facebookresearch/dino) and the class token."""

    def __init__(self):
        super().__init__()
        self.net = timm.create_model("vit_tiny_patch16_224", num_classes=0)

    def forward(self, images):
        net, n = self.net, len(images)
        patches = net.patch_embed.proj(images)
        rows, columns = patches.shape[2:]
        tokens = torch.cat([net.cls_token.expand(n, -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        places = net.pos_embed
        if (rows, columns) != (14, 14):
            grid = places[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
            grid = F.interpolate(grid, scale_factor=((rows + 0.1) / 14, (columns + 0.1) / 14), mode="bicubic")
            places = torch.cat([places[:, :1], grid.flatten(2).transpose(1, 2)], 1)
        return net.norm(net.blocks(tokens + places))[:, 0]


def backbone(arch):
    if arch == "vit_tiny":
        net = Vit()
        for name, value in net.named_parameters():
            # Fresh biases and normalisations would hide mistakes.
            if value.dim() == 1:
                torch.nn.init.normal_(value, float(name.endswith("norm.weight")), 0.2)
        return net.float().double()
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
            out[f"{arch}/state/{name.removeprefix('net.')}"] = value.float().numpy().copy()
    width = {"mobilenet_v2": 1280, "resnet50": 2048, "vit_tiny": 192}.get(arch, 512)
    coefficients = torch.randn(len(images), width)
    out[f"coefficients/{arch}"] = coefficients.numpy()
    for mode in ("eval", "train"):
        net.train(mode == "train")
        net.zero_grad()
        features = net(images)
        (features * coefficients).sum().backward()
        out[f"{arch}/{mode}/features"] = features.detach().numpy()
        for name, parameter in net.named_parameters():
            name = name.removeprefix("net.")
            # A wrong gradient anywhere reaches the vectors before it; the large tensors would only fill the disk.
            if arch == "mobilenet_v2" or parameter.dim() == 1 or name in ("cls_token", "pos_embed"):
                out[f"{arch}/{mode}/grad/{name}"] = parameter.grad.numpy().copy()
    for name, value in net.named_buffers():
        if "num_batches" not in name:
            out[f"{arch}/buffers_after/{name}"] = value.numpy()
    if arch == "vit_tiny":
        net.eval()
        for height, width in ((96, 128), (224, 224)):
            other = torch.randn(2, 3, height, width)
            out[f"vit_tiny/{height}/images"] = other.numpy()
            out[f"vit_tiny/{height}/features"] = net(other).detach().numpy()


images = torch.randn(4, 3, 48, 48)
out["images"] = images.numpy()
for arch in ("mobilenet_v2", "resnet18", "resnet34", "resnet50", "vit_tiny"):
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
