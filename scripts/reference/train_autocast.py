#!/usr/bin/env python3
"""Oracle for bfloat16: five training steps of DINO, SwAV and MoCo on torchvision's and timm's networks, the networks under torch.autocast, the rest in
single precision; with LARS or AdamW, clipping, frozen layers, queues, teacher average and probe.

Written apart from the trainer: torch's autograd, loops over views, pairs and parameters. Whether they are right, train_runs.py tells.
usage: train_autocast.py OUT.npz METHOD ARCH      METHOD: dino swav moco, ARCH: mobilenet_v2 resnet18 vit_tiny
Keys: start/<name>, views/<step>/{global,local}, labels/<step>, losses (loss, global, local, probe), rates.
"""
import sys
import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(4)
METHOD, ARCH = sys.argv[2:]
BATCH, LOCAL, K, STEPS, CLASSES = 8, 3, 64, 5, 4
DIM, HIDDEN, QUEUE, KEEP_KEY = 24, 48, 16, 0.9
WIDTH = {"mobilenet_v2": 1280, "resnet18": 512, "vit_tiny": 192}[ARCH]
IS_VIT = ARCH == "vit_tiny"
CLIP = {"dino": 0.5, "swav": 0.0, "moco": 0.3}[METHOD]
out = {}


def backbone():
    if IS_VIT:
        return timm.create_model("vit_tiny_patch16_224", num_classes=0, drop_path_rate=0.0)
    net = getattr(torchvision.models, ARCH)(weights=None)
    if ARCH == "mobilenet_v2":
        net.classifier = torch.nn.Identity()
    else:
        net.fc = torch.nn.Identity()
    return net


def features_of(net, images):
    if not IS_VIT:
        return net(images)
    patches = net.patch_embed.proj(images)
    rows, columns = patches.shape[2:]
    tokens = torch.cat([net.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
    grid = net.pos_embed[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, scale_factor=((rows + 0.1) / 14, (columns + 0.1) / 14), mode="bicubic")
    places = torch.cat([net.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return net.norm(net.blocks(tokens + places))[:, 0]


def mlp(num_layers, norm, activation):
    layers, width = [], WIDTH
    for _ in range(num_layers - 1):
        layers += [torch.nn.Linear(width, HIDDEN), *([torch.nn.BatchNorm1d(HIDDEN)] if norm else []), activation()]
        width = HIDDEN
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, DIM))


class Head(torch.nn.Module):
    """DINO: mlp, last_layer.weight_{g,v}. SwAV: projection, prototypes. MoCo: mlp."""

    def __init__(self):
        super().__init__()
        if METHOD == "dino":
            self.mlp = mlp(3, not IS_VIT, torch.nn.GELU)
            self.last_layer = torch.nn.Module()
            self.last_layer.weight_g = torch.nn.Parameter(torch.ones(K, 1), requires_grad=IS_VIT)
            self.last_layer.weight_v = torch.nn.Parameter(torch.randn(K, DIM))
        elif METHOD == "swav":
            self.projection = mlp(2, True, torch.nn.ReLU)
            self.prototypes = torch.nn.Linear(DIM, K, bias=False)
        else:
            self.mlp = mlp(2, False, torch.nn.ReLU)

    def forward(self, x):
        if METHOD == "dino":
            v = self.last_layer.weight_v
            weight = self.last_layer.weight_g * v / v.norm(dim=1, keepdim=True)
            return F.linear(F.normalize(self.mlp(x), dim=-1), weight)
        if METHOD == "swav":
            embedding = F.normalize(self.projection(x), dim=-1)
            return embedding, self.prototypes(embedding)
        return F.normalize(self.mlp(x), dim=-1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone, self.head = backbone(), Head()

    def forward(self, groups):
        with torch.autocast("cpu", torch.bfloat16):
            features = torch.cat([features_of(self.backbone, group) for group in groups])
            outputs = self.head(features)
        single = lambda x: tuple(map(single, x)) if isinstance(x, tuple) else x.to(torch.get_default_dtype())
        return single(features), single(outputs)


student, teacher = Net(), Net()
teacher.load_state_dict(student.state_dict())
probe = torch.nn.Linear(WIDTH, CLASSES)
center = torch.zeros(1, K)
moments = {}
# SwAV: earlier embeddings of view 0 and view 1, newest first. MoCo: keys, as rows that are replaced in turn.
queues = [[], []]
keys = F.normalize(torch.randn(QUEUE, DIM), dim=1)
num_pushed = 0


def snapshot(prefix):
    has_teacher = METHOD != "swav"
    for part, net in (("student", student), ("teacher", teacher))[: 1 + has_teacher]:
        for name, value in net.state_dict().items():
            if "num_batches" not in name:
                out[f"{prefix}/{part}.{name}"] = value.numpy().copy()
    for name, value in probe.state_dict().items():
        out[f"{prefix}/probe.classifier.{name}"] = value.numpy().copy()
    if METHOD == "dino":
        out[f"{prefix}/center"] = center.numpy().copy()
    if METHOD == "swav":
        for view, batches in enumerate(queues):
            rows = np.zeros((QUEUE, DIM))
            for age, batch in enumerate(batches):
                at = (num_pushed - (age + 1) * BATCH) % QUEUE
                rows[at : at + BATCH] = batch.numpy()
            out[f"{prefix}/queue.{view}.rows"] = rows
            out[f"{prefix}/queue.{view}.num_pushed"] = np.array(num_pushed)
    if METHOD == "moco":
        out[f"{prefix}/queue.rows"] = keys.numpy().copy()
        out[f"{prefix}/queue.num_pushed"] = np.array(num_pushed)
    for name, value in learnt():
        zeros = torch.zeros_like(value)
        first, second, steps = moments.get(name, (zeros, zeros, 0))
        if IS_VIT:
            out[f"{prefix}/optimizer.{name}.first_moment"] = first.numpy().copy()
            out[f"{prefix}/optimizer.{name}.second_moment"] = second.numpy().copy()
            out[f"{prefix}/optimizer.{name}.num_steps"] = np.array(steps)
        else:
            out[f"{prefix}/optimizer.{name}.momentum"] = first.numpy().copy()


def learnt():
    named = [(name, value) for name, value in student.named_parameters() if value.requires_grad]
    return named + [(f"classifier.{name}", value) for name, value in probe.named_parameters()]


def dino(views, temp):
    global center
    with torch.no_grad():
        _, teacher_out = teacher(views[:1])
    features, student_out = student(views)
    s, t = (student_out / 0.1).chunk(2 + LOCAL), torch.softmax((teacher_out - center) / temp, -1).chunk(2)
    center = 0.9 * center + 0.1 * teacher_out.mean(0, keepdim=True)
    pair = lambda i, j: -(t[i] * F.log_softmax(s[j], -1)).sum(-1).mean()
    near = (pair(0, 1) + pair(1, 0)) / 2
    far = sum(pair(i, 2 + j) for i in range(2) for j in range(LOCAL)) / (2 * LOCAL)
    return features[:BATCH], near, far


def sinkhorn(scores):
    q = torch.exp(scores / 0.05).t()
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / K
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).t()


def swav(views, epoch):
    global num_pushed
    with torch.no_grad():
        weight = student.head.prototypes.weight
        weight.copy_(F.normalize(weight, dim=1))
    features, (embedding, scores) = student(views)
    near, far = [], []
    for view in (0, 1):
        rows = slice(view * BATCH, (view + 1) * BATCH)
        with torch.no_grad():
            mine = scores[rows]
            if epoch >= 1:
                if len(queues[view]) * BATCH == QUEUE:
                    mine = torch.cat([torch.cat(queues[view]) @ weight.t(), mine])
                queues[view] = [embedding[rows].detach().clone(), *queues[view]][: QUEUE // BATCH]
            code = sinkhorn(mine)[-BATCH:]
        for other in range(2 + LOCAL):
            if other != view:
                x = scores[other * BATCH : (other + 1) * BATCH] / 0.1
                (near if other < 2 else far).append(-(code * F.log_softmax(x, 1)).sum(1).mean())
    num_pushed += BATCH if epoch >= 1 else 0
    return features[:BATCH], sum(near) / len(near), sum(far) / len(far)


def moco(views):
    global num_pushed
    features, queries = student([views[0][BATCH:], views[1]])
    with torch.no_grad():
        for average, value in zip(teacher.parameters(), student.parameters()):
            average.copy_(KEEP_KEY * average + (1 - KEEP_KEY) * value)
        _, key = teacher([views[0][:BATCH]])
    losses = []
    for query in queries.chunk(1 + LOCAL):
        logits = torch.cat([(query * key).sum(1, keepdim=True), query @ keys.clone().t()], 1) / 0.2
        losses.append(F.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.long)))
    keys[num_pushed % QUEUE : num_pushed % QUEUE + BATCH] = key
    num_pushed += BATCH
    return features[:BATCH], losses[0], sum(losses[1:]) / LOCAL


def update(name, value, gradient, lr, weight_decay):
    is_decayed = value.dim() > 1 and not (value.dim() == 4 and value.shape[1] == 1)
    first, second, steps = moments.get(name, (torch.zeros_like(value), torch.zeros_like(value), 0))
    decay = weight_decay if is_decayed else 0.0
    if IS_VIT:
        first, second, steps = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2, steps + 1
        value *= 1 - lr * decay
        value -= lr * (first / (1 - 0.9**steps)) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
    else:
        direction = gradient + decay * value
        if value.dim() > 1:
            direction = direction * 0.001 * value.norm() / direction.norm()
        first = 0.9 * first + direction
        value -= lr * first
    moments[name] = first, second, steps


def is_frozen(name, epoch):
    return epoch < 1 and ("last_layer" in name or "prototypes" in name)


snapshot("start")
scale = 0.001 if IS_VIT else 1.0
rates = [(0.1, 0.01, 0.99, 0.04, 0), (0.3, 0.02, 0.992, 0.04, 1), (0.2, 0.03, 0.995, 0.05, 1), (0.2, 0.03, 0.996, 0.06, 2), (0.1, 0.04, 0.997, 0.07, 2)]
rates = [(lr * scale, *rest) for lr, *rest in rates]
out["rates"] = np.array(rates)
losses = []
for step, (lr, weight_decay, keep, temp, epoch) in enumerate(rates):
    views = torch.randn(2 * BATCH, 3, 48, 48), torch.randn(LOCAL * BATCH, 3, 32, 32)
    labels = torch.randint(0, CLASSES, (BATCH,))
    labels[0] = -1
    out[f"views/{step}/global"], out[f"views/{step}/local"] = (view.numpy() for view in views)
    out[f"labels/{step}"] = labels.numpy()
    features, near, far = {"dino": lambda: dino(views, temp), "swav": lambda: swav(views, epoch), "moco": lambda: moco(views)}[METHOD]()
    loss = 0.4 * near + 0.6 * far
    probe_loss = F.cross_entropy(probe(features.detach()), labels, ignore_index=-1)
    named = learnt()
    gradients = torch.autograd.grad(loss + probe_loss, [value for _, value in named])
    with torch.no_grad():
        for (name, value), gradient in zip(named, gradients):
            if CLIP and not name.startswith("classifier"):
                gradient = gradient * min(1.0, CLIP / (gradient.norm().item() + 1e-6))
            if not is_frozen(name, epoch):
                update(name, value, gradient, lr, weight_decay)
        if METHOD == "dino":
            for average, value in zip(teacher.parameters(), student.parameters()):
                average.copy_(keep * average + (1 - keep) * value)
    losses.append([loss.item(), near.item(), far.item(), probe_loss.item()])
out["losses"] = np.array(losses)
np.savez(sys.argv[1], **out)
