#!/usr/bin/env python3
"""Oracle for whole runs: ten steps of DINO, SwAV or MoCo on torchvision's and timm's networks, with LARS or AdamW, schedules, clipping, frozen layers,
queues, teacher average and probe, in double precision.

Written apart from the trainer, from the papers' formulas: torch's autograd, loops over views, pairs and parameters.
usage: train_runs.py OUT METHOD ARCH LOCAL_PX [global_only]      METHOD: dino swav moco; ARCH: mobilenet_v2 resnet18 vit_tiny; OUT: a folder
Writes run.yaml, start.safetensors and batches.safetensors, which the trainer reads, and what came of them: expected.npz with losses (loss, global,
local, probe), grad_norms, start/<name> and end/<name> of the whole state. With global_only (DINO, MoCo) there is no local loss: it is no number there.

How the inputs are chosen, so that a difference tells a mistake and not the order of sums:
- Batch normalisations start with weight .5 and biases of 2 and -2 (and 8, where 6 is the most that a unit gives), by whole channels: every unit is
  four standard deviations inside or outside of its activation, eight where maps are large (weight .25). A unit near a kink multiplies rounding: two
  layouts of one network in PyTorch itself end up to 10 % apart after ten steps from its own start. More would drown the images in what padding adds.
  The hidden layer of MoCo's head, which has no normalisation, starts with such values on the first batch.
- Views are dots of one brightness an image on one grey for all, as close as the first convolution is wide, so that every window of a ResNet's
  max-pooling sees one or two: which value is the largest is a matter of the weights. In noise some windows hold two values as good as equal, and
  rounding moves a gradient from one to the other.
- A rate of 0 in the first step of AdamW, whose first move is the sign of the gradient whatever its size; and biases of .5 x N(0, 1) where there is no
  gradient but rounding (of keys, and in front of a normalisation), of which Adam makes moves of a whole rate.
"""
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
import torchvision
import yaml
from safetensors.torch import save_file

OUT, METHOD, ARCH, LOCAL_PX = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
IS_VIT = ARCH == "vit_tiny"
GLOBAL_ONLY = sys.argv[5:] == ["global_only"]
WIDTH = {"mobilenet_v2": 1280, "resnet18": 512, "vit_tiny": 192}[ARCH]
GLOBAL_PX = {128: 224, 96: 224, 32: 48, 16: 32}[LOCAL_PX]
CELL = 2 if ARCH == "mobilenet_v2" else 8
EARLY = tuple(f"backbone.{part}" for part in ("features.0.", "features.1.", "features.2.", "features.3.", "bn1", "layer1"))
BATCH, LOCAL = (2, 1) if GLOBAL_PX == 224 else (8, 2)
K, DIM, HIDDEN, CLASSES, QUEUE = 64, 24, 48, 4, 2 * BATCH
EPOCHS, EPOCH_STEPS = 2, 5
STEPS = EPOCHS * EPOCH_STEPS
# Rates between those of the paper for global batches of 8 and 1024.
PEAK, LAST, FIRST = (5e-5, 1e-5, 0.0) if IS_VIT else (0.48, 0.0048, 0.1)
DECAY, DECAY_END = (0.04, 0.4) if IS_VIT else (1e-3, 1e-2)
KEEP, KEEP_END, KEEP_KEY = 0.99, 1.0, 0.9
CLIP = {"dino": 0.5, "swav": 0.0, "moco": 0.3}[METHOD]
TEMPS = [0.04, 0.07]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

SETTINGS = {
    "SSL_METHOD": METHOD.upper(), "SEED": 1,
    "TRAIN": {"BATCH_SIZE": BATCH, "JOINT_LINEAR_PROBE": True, "NUM_CLASSES": CLASSES, "STEPS_PER_EPOCH": EPOCH_STEPS},
    "MULTI_VIEWS_TRANSFORMS": {"NMB_CROPS": [2, LOCAL], "LOCAL_CROPS_NUMBER": LOCAL, "GLOBAL_CROP_SIZE": GLOBAL_PX,
                               "LOCAL_CROP_SIZE": LOCAL_PX, "LAMBDAS": [0.4, 0.6]},
    "MODEL": {"BACKBONE_ARCH": ARCH, "MODEL_MOMENTUM": KEEP, "MODEL_MOMENTUM_END": KEEP_END},
    "VIT": {"DROP_PATH_RATE": 0.0},
    "SOLVER": {"OPTIMIZING_METHOD": "AdamW" if IS_VIT else "LARS", "BASE_LR": PEAK * 256 / BATCH, "MIN_LR": LAST, "START_WARMUP": FIRST,
               "TOTAL_EPOCHS": EPOCHS, "WARMUP_EPOCHS": 1, "WEIGHT_DECAY": DECAY, "WEIGHT_DECAY_END": DECAY_END, "CLIP_GRAD": CLIP,
               "FREEZE_LAST_LAYER": 1 if METHOD == "dino" else 0},
    **{"dino": {"DINO": {"WARMUP_TEACHER_TEMP": 0.04, "TEACHER_TEMP": 0.07, "WARMUP_TEACHER_TEMP_EPOCHS": 2, "GLOBAL_ONLY": GLOBAL_ONLY},
                "DINOHead": {"OUTPUT_DIM": K, "HIDDEN_SIZE": HIDDEN, "BOTTLENECK_DIM": DIM, "USE_BN_IN_HEAD": not IS_VIT,
                             "NORM_LAST_YEAR": not IS_VIT}},
       "swav": {"SWAV": {"NMB_PROTOTYPES": K, "HIDDEN_SIZE": HIDDEN, "OUTPUT_DIM": DIM, "QUEUE_LENGTH": QUEUE, "EPOCH_QUEUE_STARTS": 1,
                         "FREEZE_PROTOTYPES_EPOCHS": 1}},
       "moco": {"MOCO": {"QUEUE_LENGTH": QUEUE, "MOMENTUM": KEEP_KEY, "HIDDEN_SIZE": HIDDEN, "OUTPUT_DIM": DIM, "GLOBAL_ONLY": GLOBAL_ONLY}}}[METHOD],
}


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
    places = net.pos_embed
    if rows != 14:
        grid = places[:, 1:].reshape(1, 14, 14, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, scale_factor=((rows + 0.1) / 14, (columns + 0.1) / 14), mode="bicubic")
        places = torch.cat([places[:, :1], grid.flatten(2).transpose(1, 2)], 1)
    return net.norm(net.blocks(tokens + places))[:, 0]


def mlp(num_layers, norm, activation):
    layers, width = [], WIDTH
    for _ in range(num_layers - 1):
        layers += [torch.nn.Linear(width, HIDDEN), *([torch.nn.BatchNorm1d(HIDDEN)] if norm else []), activation()]
        width = HIDDEN
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, DIM))


class Projection(torch.nn.Module):
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
        self.backbone, self.head = backbone(), Projection()

    def forward(self, groups):
        features = torch.cat([features_of(self.backbone, group) for group in groups])
        return features, self.head(features)


def levels(num):
    """2, -2, 2, ... or 2, -2, 8, 2, ..."""
    values = torch.tensor([2.0, -2.0, 8.0] if ARCH == "mobilenet_v2" else [2.0, -2.0])
    return values[torch.arange(num) % len(values)]


@torch.no_grad()
def start_away_from_kinks(net, views):
    for name, module in net.named_modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.weight.fill_(0.25 if name.startswith(EARLY) else 0.5)
            module.bias.copy_(levels(len(module.bias)))
    for name, value in net.named_parameters():
        if IS_VIT and name.endswith(("qkv.bias", "backbone.norm.bias", "projection.0.bias")):
            value.normal_().mul_(0.5)
    if METHOD == "moco":
        features = torch.cat([features_of(net.backbone, group) for group in views])
        hidden = net.head.mlp[0]
        hidden.weight /= 2 * (features @ hidden.weight.t()).std(0, keepdim=True).t()
        hidden.bias.copy_(levels(HIDDEN) - (features @ hidden.weight.t()).mean(0))
    # The statistics of the look at the first batch are not part of the start.
    for module in net.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.reset_running_stats()


def draw_views(num, size):
    """u8 [num, BATCH, size, size, 3]: a dot somewhere in every CELL x CELL pixels."""
    cells = size // CELL
    places = torch.randint(0, CELL**2, (num, BATCH, cells, cells))
    is_dot = F.one_hot(places, CELL**2).reshape(num, BATCH, cells, cells, CELL, CELL)
    is_dot = is_dot.transpose(3, 4).reshape(num, BATCH, size, size, 1)
    brightness = torch.randint(40, 130, (num, BATCH, 1, 1, 1))
    return (torch.tensor([124, 116, 104]) + is_dot * brightness).to(torch.uint8).contiguous()


def normalized(views):
    """[num * BATCH, 3, size, size], view-major."""
    pixels = (views.flatten(0, 1).numpy() / 255 - MEAN) / STD
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.get_default_dtype())


class Run:
    def __init__(self, start):
        self.student, self.teacher, self.probe = Net(), Net(), torch.nn.Linear(WIDTH, CLASSES)
        self.student.load_state_dict(start["student"])
        self.teacher.load_state_dict(start["student"])
        self.probe.load_state_dict(start["probe"])
        self.center, self.moments = torch.zeros(1, K), {}
        # SwAV: earlier embeddings of view 0 and view 1, newest first. MoCo: keys, as rows that are replaced in turn.
        self.queues, self.num_pushed = [[], []], 0
        self.keys = start["keys"].to(torch.get_default_dtype(), copy=True)

    def learnt(self):
        named = [(name, value) for name, value in self.student.named_parameters() if value.requires_grad]
        return named + [(f"classifier.{name}", value) for name, value in self.probe.named_parameters()]

    def snapshot(self, prefix, out):
        nets = {"student": self.student} if METHOD == "swav" else {"student": self.student, "teacher": self.teacher}
        for part, net in nets.items():
            out.update({f"{prefix}/{part}.{name}": value for name, value in net.state_dict().items() if "num_batches" not in name})
        out.update({f"{prefix}/probe.classifier.{name}": value for name, value in self.probe.state_dict().items()})
        if METHOD == "dino":
            out[f"{prefix}/center"] = self.center
        if METHOD == "moco":
            out[f"{prefix}/queue.rows"], out[f"{prefix}/queue.num_pushed"] = self.keys, torch.tensor(self.num_pushed)
        for view, batches in enumerate(self.queues if METHOD == "swav" else []):
            rows = torch.zeros(QUEUE, DIM)
            for age, batch in enumerate(batches):
                at = (self.num_pushed - (age + 1) * BATCH) % QUEUE
                rows[at : at + BATCH] = batch
            out[f"{prefix}/queue.{view}.rows"], out[f"{prefix}/queue.{view}.num_pushed"] = rows, torch.tensor(self.num_pushed)
        for name, value in self.learnt():
            first, second, steps = self.moments.get(name, (torch.zeros_like(value), torch.zeros_like(value), 0))
            if IS_VIT:
                out[f"{prefix}/optimizer.{name}.first_moment"], out[f"{prefix}/optimizer.{name}.second_moment"] = first, second
                out[f"{prefix}/optimizer.{name}.num_steps"] = torch.tensor(steps)
            else:
                out[f"{prefix}/optimizer.{name}.momentum"] = first

    def dino(self, views, epoch):
        with torch.no_grad():
            _, teacher_out = self.teacher(views[:1])
        features, student_out = self.student(views)
        s, t = (student_out / 0.1).chunk(2 + LOCAL), torch.softmax((teacher_out - self.center) / TEMPS[epoch], -1).chunk(2)
        self.center = 0.9 * self.center + 0.1 * teacher_out.mean(0, keepdim=True)
        pair = lambda i, j: -(t[i] * F.log_softmax(s[j], -1)).sum(-1).mean()
        near = (pair(0, 1) + pair(1, 0)) / 2
        if GLOBAL_ONLY:
            return features[:BATCH], near, None
        far = sum(pair(i, 2 + j) for i in range(2) for j in range(LOCAL)) / (2 * LOCAL)
        return features[:BATCH], near, far

    def swav(self, views, epoch):
        with torch.no_grad():
            weight = self.student.head.prototypes.weight
            weight.copy_(F.normalize(weight, dim=1))
        features, (embedding, scores) = self.student(views)
        near, far = [], []
        for view in (0, 1):
            rows = slice(view * BATCH, (view + 1) * BATCH)
            with torch.no_grad():
                mine = scores[rows]
                if epoch >= 1:
                    if len(self.queues[view]) * BATCH == QUEUE:
                        mine = torch.cat([torch.cat(self.queues[view]) @ weight.t(), mine])
                    self.queues[view] = [embedding[rows].detach().clone(), *self.queues[view]][: QUEUE // BATCH]
                code = sinkhorn(mine)[-BATCH:]
            for other in range(2 + LOCAL):
                if other != view:
                    x = scores[other * BATCH : (other + 1) * BATCH] / 0.1
                    (near if other < 2 else far).append(-(code * F.log_softmax(x, 1)).sum(1).mean())
        self.num_pushed += BATCH if epoch >= 1 else 0
        return features[:BATCH], sum(near) / len(near), sum(far) / len(far)

    def moco(self, views, _epoch):
        features, queries = self.student([views[0][BATCH:]] if GLOBAL_ONLY else [views[0][BATCH:], views[1]])
        with torch.no_grad():
            follow(self.teacher, self.student, KEEP_KEY)
            _, key = self.teacher([views[0][:BATCH]])
        losses = []
        for query in queries.split(BATCH):
            logits = torch.cat([(query * key).sum(1, keepdim=True), query @ self.keys.clone().t()], 1) / 0.2
            losses.append(F.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.long)))
        at = self.num_pushed % QUEUE
        self.keys[at : at + BATCH] = key
        self.num_pushed += BATCH
        return features[:BATCH], losses[0], None if GLOBAL_ONLY else sum(losses[1:]) / LOCAL

    def update(self, name, value, gradient, rate, weight_decay):
        is_decayed = value.dim() > 1 and not (value.dim() == 4 and value.shape[1] == 1)
        first, second, steps = self.moments.get(name, (torch.zeros_like(value), torch.zeros_like(value), 0))
        decay = weight_decay if is_decayed else 0.0
        if IS_VIT:
            first, second, steps = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2, steps + 1
            value *= 1 - rate * decay
            value -= rate * (first / (1 - 0.9**steps)) / ((second / (1 - 0.999**steps)).sqrt() + 1e-8)
        else:
            direction = gradient + decay * value
            if value.dim() > 1 and value.norm() > 0 and direction.norm() > 0:
                direction = direction * 0.001 * value.norm() / direction.norm()
            first = 0.9 * first + direction
            value -= rate * first
        self.moments[name] = first, second, steps

    def step(self, step, views, labels):
        epoch = step // EPOCH_STEPS
        features, near, far = getattr(self, METHOD)(views, epoch)
        loss = near if far is None else 0.4 * near + 0.6 * far
        probe_loss = F.cross_entropy(self.probe(features.detach()), labels, ignore_index=-1)
        named = self.learnt()
        gradients = torch.autograd.grad(loss + probe_loss, [value for _, value in named])
        of_network = [gradient for (name, _), gradient in zip(named, gradients) if "classifier" not in name]
        norm = torch.cat([gradient.flatten() for gradient in of_network]).double().norm()
        with torch.no_grad():
            for (name, value), gradient in zip(named, gradients):
                if CLIP and not name.startswith("classifier"):
                    gradient = gradient * min(1.0, CLIP / (gradient.norm().item() + 1e-6))
                if not (epoch < 1 and ("last_layer" in name or "prototypes" in name)):
                    self.update(name, value, gradient, rate_at(step), cosine(DECAY, DECAY_END, step, STEPS))
            if METHOD == "dino":
                follow(self.teacher, self.student, cosine(KEEP, KEEP_END, step, STEPS))
        return [np.nan if part is None else part.item() for part in (loss, near, far, probe_loss)], norm.item()


def sinkhorn(scores):
    q = torch.exp(scores / 0.05).t()
    q = q / q.sum()
    for _ in range(3):
        q = q / q.sum(1, keepdim=True) / K
        q = q / q.sum(0, keepdim=True) / q.shape[1]
    return (q * q.shape[1]).t()


def follow(teacher, student, keep):
    for average, value in zip(teacher.parameters(), student.parameters()):
        average.copy_(keep * average + (1 - keep) * value)


def cosine(first, last, step, steps):
    return last + (first - last) * (1 + np.cos(np.pi * step / steps)) / 2


def rate_at(step):
    warmup = np.linspace(FIRST, PEAK, EPOCH_STEPS)
    return warmup[step] if step < EPOCH_STEPS else cosine(PEAK, LAST, step - EPOCH_STEPS, STEPS - EPOCH_STEPS)


def main():
    torch.manual_seed(4)
    batches = [(draw_views(2, GLOBAL_PX), draw_views(LOCAL, LOCAL_PX), torch.randint(0, CLASSES, (BATCH,))) for _ in range(STEPS)]
    for _, _, labels in batches:
        labels[0] = -1
    student, probe = Net(), torch.nn.Linear(WIDTH, CLASSES)
    seen = [normalized(views) for views in batches[0][:2]]
    start_away_from_kinks(student, [seen[0][BATCH:]] if GLOBAL_ONLY and METHOD == "moco" else seen)
    keys = F.normalize(torch.randn(QUEUE, DIM), dim=1)
    start = {"student": student.state_dict(), "probe": probe.state_dict(), "keys": keys}
    write(start, batches)
    torch.set_default_dtype(torch.float64)
    run, out, losses, norms = Run(start), {}, [], []
    run.snapshot("start", out)
    out = {name: value.detach().clone() for name, value in out.items()}
    for step, (near, far, labels) in enumerate(batches):
        loss, norm = run.step(step, [normalized(near), normalized(far)], labels)
        losses.append(loss)
        norms.append(norm)
    run.snapshot("end", out)
    arrays = {name: value.detach().numpy() for name, value in out.items()}
    np.savez(OUT / "expected.npz", losses=np.array(losses), grad_norms=np.array(norms), **arrays)


def write(start, batches):
    (OUT / "run.yaml").write_text(yaml.safe_dump(SETTINGS))
    weights = {**start["student"], **{f"classifier.{name}": value for name, value in start["probe"].items()}}
    if METHOD == "moco":
        weights["queue"] = start["keys"].t().contiguous()
    save_file(weights, OUT / "start.safetensors")
    tensors = {}
    for step, (near, far, labels) in enumerate(batches):
        for view, pixels in enumerate([*near, *far]):
            tensors[f"step{step}.view{view}"] = pixels.contiguous()
        tensors[f"step{step}.labels"] = labels
    save_file(tensors, OUT / "batches.safetensors")


main()
