#!/usr/bin/env python3
"""Oracle for classifiers on a backbone: five steps of the linear and the semi-supervised evaluation, in double precision.

Written apart from the trainer: torchvision's and timm's networks, torch.optim's SGD, LARS from its formula, the learning rate of each epoch from
its cosine. Two steps are an epoch.
usage: train_classifier.py OUT.npz CASE        CASE: linear_cnn linear_vit semi
Keys: start/<name>, end/<name>, images/<step>, labels/<step>, rates, losses, accuracies, grad_norms, evaluated (class scores of images/0 at the end).
"""
import math
import sys
import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(6)
torch.set_default_dtype(torch.float64)
CASE = sys.argv[2]
ARCH = {"linear_cnn": "mobilenet_v2", "linear_vit": "vit_tiny", "semi": "resnet18"}[CASE]
WIDTH = {"resnet18": 512, "vit_tiny": 4 * 192, "mobilenet_v2": 1280}[ARCH]
BASE = {"linear_cnn": 0.05, "linear_vit": 0.01, "semi": 0.03}[CASE]
BATCH, CLASSES, HIDDEN, STEPS, PER_EPOCH, EPOCHS, FACTOR = 8, 4, 48, 5, 2, 3, 3.0
SIDE = 224 if ARCH == "vit_tiny" else 64
out = {}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        if ARCH == "vit_tiny":
            self.backbone = timm.create_model("vit_tiny_patch16_224", num_classes=0)
        else:
            self.backbone = getattr(torchvision.models, ARCH)(weights=None)
            setattr(self.backbone, "classifier" if ARCH == "mobilenet_v2" else "fc", torch.nn.Identity())
        self.head = torch.nn.Module()
        if CASE == "semi":
            linear, norm, gelu = torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.GELU
            hidden = [linear(WIDTH, HIDDEN), norm(HIDDEN), gelu(), linear(HIDDEN, HIDDEN), norm(HIDDEN), gelu()]
            self.head.mlp = torch.nn.Sequential(*hidden, linear(HIDDEN, CLASSES))
        else:
            self.head.mlp = torch.nn.Linear(WIDTH, CLASSES)
            torch.nn.init.normal_(self.head.mlp.weight, 0, 0.01)
            torch.nn.init.zeros_(self.head.mlp.bias)
            self.backbone.requires_grad_(False)

    def forward(self, images):
        if ARCH == "vit_tiny":
            # timm normalises the tokens of each block, as the reference does.
            layers = self.backbone.get_intermediate_layers(images, n=4, return_prefix_tokens=True, norm=True)
            features = torch.cat([prefix[:, 0] for _, prefix in layers], -1)
        else:
            features = self.backbone(images)
        return self.head.mlp(features)


net = Net()
for name, value in net.state_dict().items():
    # Fresh biases and statistics would hide mistakes.
    if value.dim() == 1 and name.startswith("backbone"):
        low, high = (0.5, 1.5) if name.endswith(("weight", "running_var")) else (-0.2, 0.2)
        torch.nn.init.uniform_(value, low, high)
learnt = {name: value for name, value in net.named_parameters() if value.requires_grad}
momenta = {name: torch.zeros_like(value) for name, value in learnt.items()}


def snapshot(prefix):
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            out[f"{prefix}/student.{name}"] = value.detach().numpy().copy()
    for name, value in momenta.items():
        out[f"{prefix}/optimizer.{name}.momentum"] = value.numpy().copy()


def rate(epoch):
    """The cosine over all steps, looked up at the first step of an epoch."""
    base, low = BASE * BATCH / 256, 1e-6
    return low + 0.5 * (base - low) * (1 + math.cos(math.pi * epoch * PER_EPOCH / (EPOCHS * PER_EPOCH)))


sgd = None
if CASE != "linear_cnn":
    groups = [
        {"params": [value], "factor": FACTOR if name.startswith("head") else 1.0} for name, value in learnt.items()
    ]
    sgd = torch.optim.SGD(groups, lr=1.0, momentum=0.9, nesterov=CASE == "semi")


def update(lr):
    if sgd:
        for group in sgd.param_groups:
            group["lr"] = lr * group["factor"]
        sgd.step()
        for name, value in learnt.items():
            momenta[name] = sgd.state[value]["momentum_buffer"].clone()
        return
    for name, value in learnt.items():
        step = value.grad
        if value.dim() > 1:
            p, d = value.detach().norm(), step.norm()
            step = step * (0.001 * p / d if p > 0 and d > 0 else 1.0)
        momenta[name] = 0.9 * momenta[name] + step
        value.data -= lr * FACTOR * momenta[name]


snapshot("start")
rates, losses, accuracies, norms = [], [], [], []
net.train(CASE == "semi")
for step in range(STEPS):
    images, labels = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(0, CLASSES, (BATCH,))
    if step == 3:
        labels[0] = -1
    out[f"images/{step}"], out[f"labels/{step}"] = images.numpy(), labels.numpy()
    lr = rate(step // PER_EPOCH)
    logits = net(images)
    loss = F.cross_entropy(logits, labels, ignore_index=-1)
    net.zero_grad()
    loss.backward()
    known = labels >= 0
    rates.append(lr)
    losses.append(loss.item())
    accuracies.append(100 * (logits.argmax(1) == labels)[known].double().mean().item())
    norms.append(math.sqrt(sum(value.grad.square().sum().item() for value in learnt.values())))
    update(lr)
snapshot("end")
net.eval()
out["evaluated"] = net(torch.as_tensor(out["images/0"])).detach().numpy()
out["rates"], out["losses"], out["accuracies"], out["grad_norms"] = map(np.array, (rates, losses, accuracies, norms))
np.savez(sys.argv[1], **out)
