#!/usr/bin/env python3
"""PyTorch's own speed for one training step of DINO, SwAV or MoCo with SSLight's views: what `trainer bench` is held against.

usage: step_speed.py METHOD ARCH BATCH STEPS [--channels-last] [--compile] [--device cuda] [--amp]   METHOD: dino swav moco, ARCH: mobilenet_v2 resnet18 vit_tiny
Prints the median seconds of a step after two that do not count. Two views of 224 and six of 128 px, random values; heads, prototypes and queue as
in the recipes; foreach SGD stands in for LARS (it does less), fused AdamW for transformers.
"""
import argparse
import statistics
import time
import timm
import torch
import torch.nn.functional as F
import torchvision

parser = argparse.ArgumentParser()
parser.add_argument("method", choices=["dino", "swav", "moco"])
parser.add_argument("arch", choices=["mobilenet_v2", "resnet18", "vit_tiny"])
parser.add_argument("batch", type=int)
parser.add_argument("steps", type=int)
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--device", default="cpu")
parser.add_argument("--amp", action="store_true", help="bf16 autocast")
arguments = parser.parse_args()
METHOD, ARCH, BATCH = arguments.method, arguments.arch, arguments.batch
LOCAL, QUEUE = 6, 65_536
WIDTH = {"mobilenet_v2": 1280, "resnet18": 512, "vit_tiny": 192}[ARCH]
LAYOUT = torch.channels_last if arguments.channels_last else torch.contiguous_format
torch.set_default_device(arguments.device)
torch.backends.cudnn.benchmark = True
torch.manual_seed(0)


def backbone():
    if ARCH == "vit_tiny":
        return timm.create_model("vit_tiny_patch16_224", num_classes=0, dynamic_img_size=True)
    net = getattr(torchvision.models, ARCH)(weights=None)
    setattr(net, "classifier" if ARCH == "mobilenet_v2" else "fc", torch.nn.Identity())
    return net


def perceptron(widths, norm, activation):
    layers = []
    for wide, narrow in zip(widths[:-2], widths[1:-1]):
        layers += [torch.nn.Linear(wide, narrow), *([torch.nn.BatchNorm1d(narrow)] if norm else []), activation()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(*widths[-2:]))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        net = backbone().to(memory_format=LAYOUT)
        self.backbone = torch.compile(net) if arguments.compile else net
        if METHOD == "dino":
            self.mlp = perceptron([WIDTH, 2048, 2048, 256], ARCH != "vit_tiny", torch.nn.GELU)
            self.last = torch.nn.Linear(256, 4096 if ARCH != "vit_tiny" else 65_536, bias=False)
        elif METHOD == "swav":
            self.mlp = perceptron([WIDTH, 4096, 128], True, torch.nn.ReLU)
            self.last = torch.nn.Linear(128, 3000, bias=False)
        else:
            self.mlp, self.last = perceptron([WIDTH, 2048, 128], False, torch.nn.ReLU), torch.nn.Identity()

    def forward(self, groups):
        features = torch.cat([self.backbone(group) for group in groups])
        return self.last(F.normalize(self.mlp(features), dim=-1))


student, teacher = Network(), Network()
teacher.requires_grad_(False)
params, averages = list(student.parameters()), list(teacher.parameters())
optimizer = torch.optim.AdamW(params, 1e-5, fused=True) if ARCH == "vit_tiny" else torch.optim.SGD(params, 0.01, 0.9, weight_decay=1e-6, foreach=True)
views = [torch.randn(n * BATCH, 3, px, px).to(memory_format=LAYOUT) for n, px in ((2, 224), (LOCAL, 128))]
center = torch.zeros(1, student.last.out_features) if METHOD == "dino" else None
queue = F.normalize(torch.randn(128, QUEUE), dim=0)


def follow():
    with torch.no_grad():
        torch._foreach_lerp_(averages, params, 0.004)


def cross_entropy(target, logits):
    return -(target * F.log_softmax(logits, -1)).sum(-1).mean()


def weighted(near, far):
    return 0.4 * torch.stack(near).mean() + 0.6 * torch.stack(far).mean()


def dino():
    global center
    with torch.no_grad():
        out = teacher(views[:1])
        targets = F.softmax((out - center) / 0.04, -1).chunk(2)
        center = center * 0.9 + out.mean(0, keepdim=True) * 0.1
    scores = (student(views) / 0.1).chunk(2 + LOCAL)
    near = [cross_entropy(targets[i], scores[1 - i]) for i in (0, 1)]
    return weighted(near, [cross_entropy(target, score) for target in targets for score in scores[2:]])


def swav():
    with torch.no_grad():
        student.last.weight.copy_(F.normalize(student.last.weight, dim=1))
    scores = student(views).chunk(2 + LOCAL)
    near, far = [], []
    for view in (0, 1):
        with torch.no_grad():
            q = torch.exp(scores[view] / 0.05).t()
            q /= q.sum()
            for _ in range(3):
                q /= q.sum(1, keepdim=True) * q.shape[0]
                q /= q.sum(0, keepdim=True) * q.shape[1]
            code = (q * q.shape[1]).t()
        for other in range(2 + LOCAL):
            if other != view:
                (near if other < 2 else far).append(cross_entropy(code, scores[other] / 0.1))
    return weighted(near, far)


def moco():
    queries = student([views[0][BATCH:], views[1]])
    follow()
    with torch.no_grad():
        keys = teacher([views[0][:BATCH]])
    positive = (queries * keys.repeat(1 + LOCAL, 1)).sum(1, keepdim=True)
    logits = torch.cat([positive, queries @ queue.clone()], 1) / 0.2
    losses = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long), reduction="none").chunk(1 + LOCAL)
    with torch.no_grad():
        queue[:, :BATCH] = keys.t()
    return weighted([losses[0].mean()], [loss.mean() for loss in losses[1:]])


def step():
    with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.amp):
        loss = {"dino": dino, "swav": swav, "moco": moco}[METHOD]()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if METHOD == "dino":
        follow()
    return loss.item()


seconds = []
for _ in range(2 + arguments.steps):
    started = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - started)
print(statistics.median(seconds[2:]))
