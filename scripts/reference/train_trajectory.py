#!/usr/bin/env python3
"""Oracle for whole training steps: DINO with MobileNetV2, LARS, centre, teacher average and probe, on fixed views, in double precision.

Written apart from the trainer: torchvision's backbone, torch's autograd, loops over pairs and parameters.
usage: train_trajectory.py OUT.npz
Keys: start/<name>, end/<name>, views/<step>/{global,local}, labels/<step>, losses, probe_losses, rates.
"""
import sys
import numpy as np
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(4)
torch.set_default_dtype(torch.float64)
BATCH, LOCAL, K, STEPS = 8, 3, 64, 3


class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.mlp = torch.nn.Sequential(
            torch.nn.Linear(1280, 48), torch.nn.BatchNorm1d(48), torch.nn.GELU(),
            torch.nn.Linear(48, 48), torch.nn.BatchNorm1d(48), torch.nn.GELU(), torch.nn.Linear(48, 24))
        self.last_layer = torch.nn.Module()
        self.last_layer.weight_g = torch.nn.Parameter(torch.ones(K, 1), requires_grad=False)
        self.last_layer.weight_v = torch.nn.Parameter(torch.randn(K, 24))

    def forward(self, x):
        v = self.last_layer.weight_v
        return F.linear(F.normalize(self.mlp(x), dim=-1), self.last_layer.weight_g * v / v.norm(dim=1, keepdim=True))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torchvision.models.mobilenet_v2(weights=None)
        self.backbone.classifier = torch.nn.Identity()
        self.head = Head()

    def forward(self, groups):
        features = torch.cat([self.backbone(group) for group in groups])
        return features, self.head(features)


student, teacher = Net(), Net()
teacher.load_state_dict(student.state_dict())
probe = torch.nn.Linear(1280, 4)
center = torch.zeros(1, K)
momenta = {}
out = {}


def snapshot(prefix):
    for part, net in (("student", student), ("teacher", teacher)):
        for name, value in net.state_dict().items():
            if "num_batches" not in name:
                out[f"{prefix}/{part}.{name}"] = value.numpy().copy()
    for name, value in probe.state_dict().items():
        out[f"{prefix}/probe.classifier.{name}"] = value.numpy().copy()
    out[f"{prefix}/center"] = center.numpy().copy()
    for name, value in learnt():
        zeros = torch.zeros_like(value)
        out[f"{prefix}/optimizer.{name}.momentum"] = momenta.get(name, zeros).numpy().copy()


def learnt():
    named = [(name, value) for name, value in student.named_parameters() if value.requires_grad]
    return named + [(f"classifier.{name}", value) for name, value in probe.named_parameters()]


def cross_entropy_of_pairs(s, t, temp):
    s, t = (s / 0.1).chunk(2 + LOCAL), torch.softmax((t - center) / temp, -1).chunk(2)
    pair = lambda i, j: -(t[i] * F.log_softmax(s[j], -1)).sum(-1).mean()
    near = (pair(0, 1) + pair(1, 0)) / 2
    far = sum(pair(i, 2 + j) for i in range(2) for j in range(LOCAL)) / (2 * LOCAL)
    return 0.4 * near + 0.6 * far


snapshot("start")
rates = [(0.1, 0.01, 0.99, 0.04, 0), (0.3, 0.02, 0.992, 0.04, 0), (0.2, 0.03, 0.995, 0.05, 1)]
out["rates"] = np.array(rates)
losses, probe_losses = [], []
for step, (lr, weight_decay, keep, temp, epoch) in enumerate(rates):
    views = torch.randn(2 * BATCH, 3, 48, 48), torch.randn(LOCAL * BATCH, 3, 32, 32)
    labels = torch.randint(0, 4, (BATCH,))
    labels[0] = -1
    out[f"views/{step}/global"], out[f"views/{step}/local"] = (view.numpy() for view in views)
    out[f"labels/{step}"] = labels.numpy()
    with torch.no_grad():
        _, teacher_out = teacher(views[:1])
    features, student_out = student(views)
    loss = cross_entropy_of_pairs(student_out, teacher_out, temp)
    probe_loss = F.cross_entropy(probe(features[:BATCH].detach()), labels, ignore_index=-1)
    named = learnt()
    gradients = torch.autograd.grad(loss + probe_loss, [value for _, value in named])
    with torch.no_grad():
        for (name, value), gradient in zip(named, gradients):
            if epoch < 1 and "last_layer" in name:
                continue
            is_decayed = value.dim() > 1 and not (value.dim() == 4 and value.shape[1] == 1)
            update = gradient + (weight_decay * value if is_decayed else 0)
            if value.dim() > 1:
                update = update * 0.001 * value.norm() / update.norm()
            momenta[name] = 0.9 * momenta.get(name, torch.zeros_like(value)) + update
            value -= lr * momenta[name]
        for average, value in zip(teacher.parameters(), student.parameters()):
            average.copy_(keep * average + (1 - keep) * value)
        center = 0.9 * center + 0.1 * teacher_out.mean(0, keepdim=True)
    losses.append(loss.item())
    probe_losses.append(probe_loss.item())
out["losses"], out["probe_losses"] = np.array(losses), np.array(probe_losses)
snapshot("end")
np.savez(sys.argv[1], **out)
