"""Files as the reference, DINO, SwAV and MoCo save them, with random weights of torchvision and timm, and what is to be read from them.

    checkpoints.py OUT_DIR NAME...

Writes OUT_DIR/NAME.pth, and as OUT_DIR/NAME.npz what is to be read from it, for each NAME: reference_dino, reference_swav, reference_moco, dino,
dino_backbone, swav, moco_legacy, odd; and malicious, a file that runs a command when it is loaded without care.
"""

import argparse
import collections
import os
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from torch import nn
from yacs.config import CfgNode

torch.manual_seed(0)


def randomized(model):
    """Values that no two tensors share, statistics too."""
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1)
    return model


def resnet18():
    model = torchvision.models.resnet18()
    model.fc = nn.Identity()
    return randomized(model)


def mobilenet():
    return randomized(torchvision.models.mobilenet_v2()).features


def vit():
    return randomized(timm.create_model("vit_tiny_patch16_224", num_classes=0))


def dino_head(width, batch_norm):
    def hidden(inputs):
        return [nn.Linear(inputs, 8), *([nn.BatchNorm1d(8)] if batch_norm else []), nn.GELU()]

    mlp = nn.Sequential(*hidden(width), *hidden(8), nn.Linear(8, 4))
    head = nn.Module()
    head.mlp = mlp
    head.last_layer = nn.utils.weight_norm(nn.Linear(4, 16, bias=False))
    return randomized(head)


def moco_head(width):
    return randomized(nn.Sequential(nn.Linear(width, 8), nn.ReLU(), nn.Linear(8, 4)))


def swav_head(width):
    return randomized(nn.Sequential(nn.Linear(width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)))


def network(backbone, head):
    module = nn.Module()
    module.backbone = backbone
    module.head = head
    return module


def holding(**parts):
    module = nn.Module()
    for name, part in parts.items():
        setattr(module, name, part)
    return module


def numbered(resnet):
    """The reference's form of a ResNet: a sequence without pooling and classifier."""
    return holding(encoder=nn.Sequential(*list(resnet.children())[:-2]))


def distributed(model):
    """What DistributedDataParallel makes of the names."""
    return holding(module=model)


def ours(prefix, model):
    """The model's tensors under our names."""
    state = model.state_dict().items()
    return {prefix + name: value for name, value in state if not name.endswith("num_batches_tracked")}


def stepped(model):
    """An optimiser's state after a step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer.state_dict()


def config(method):
    return CfgNode({"SSL_METHOD": method, "MODEL": {"BACKBONE_ARCH": "resnet18"}, "DATA": {"MEAN": [0.485, 0.456, 0.406]}})


def by_reference(method, model, **more):
    saved = {"config": config(method), "epoch": 200, "steps": 1000, "state_dict": distributed(model).state_dict()}
    return saved | {"optimizer": stepped(nn.Linear(2, 2))} | more


def reference_dino():
    nets = [(resnet18(), dino_head(512, True)) for _ in range(2)]
    model = holding(**{name: network(numbered(b), h) for name, (b, h) in zip(("student", "teacher"), nets)})
    model.classifier = nn.Linear(512, 10)
    loss = collections.OrderedDict(center=torch.zeros(1, 16))
    backbone, head = nets[0]
    return by_reference("DINO", model, loss=loss, fp16_scaler=None), ours("backbone.", backbone) | ours("head.", head)


def reference_swav():
    backbone, projection, prototypes = mobilenet(), swav_head(1280), nn.Linear(4, 6, bias=False)
    head = holding(projection=holding(mlp=projection), prototypes=prototypes)
    saved = by_reference("SWAV", holding(network=network(holding(encoder=backbone), head)))
    wanted = ours("backbone.features.", backbone) | ours("head.projection.", projection) | ours("head.prototypes.", prototypes)
    return saved, wanted


def reference_moco():
    backbone, head = resnet18(), moco_head(512)
    model = holding(encoder_q=network(numbered(backbone), holding(mlp=head)), encoder_k=network(numbered(resnet18()), holding(mlp=moco_head(512))))
    model.register_buffer("queue", torch.rand(4, 8))
    model.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))
    return by_reference("MOCO", model), ours("backbone.", backbone) | ours("head.mlp.", head)


def dino():
    """The student is distributed, the teacher is not; values are on their way as half precision."""
    student, teacher = network(vit(), dino_head(192, False)), network(vit(), dino_head(192, False))
    for module in (student, teacher):
        module.half()
    saved = {
        "student": distributed(student).state_dict(),
        "teacher": teacher.state_dict(),
        "optimizer": stepped(nn.Linear(2, 2)),
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_tiny", lr=0.1, output_dir=Path("/tmp")),
        "dino_loss": collections.OrderedDict(center=torch.zeros(1, 16)),
    }
    return saved, {name: value.float() for name, value in ours("", student).items()}


def dino_backbone():
    model = vit()
    return model.state_dict(), ours("backbone.", model)


def swav():
    backbone, projection, prototypes = torchvision.models.resnet50(), swav_head(2048), nn.Linear(4, 6, bias=False)
    backbone = randomized(backbone)
    backbone.fc = nn.Identity()
    wanted = ours("backbone.", backbone) | ours("head.projection.", projection) | ours("head.prototypes.", prototypes)
    backbone.projection_head, backbone.prototypes = projection, prototypes
    return distributed(backbone).state_dict(), wanted


def moco_legacy():
    """As before PyTorch 1.6."""
    models = []
    for _ in range(2):
        model, head = resnet18(), moco_head(512)
        wanted = ours("backbone.", model) | ours("head.mlp.", head)
        model.fc = head
        models.append((model, wanted))
    model = holding(encoder_q=models[0][0], encoder_k=models[1][0])
    model.register_buffer("queue", torch.rand(4, 8))
    saved = {"epoch": 200, "arch": "resnet18", "state_dict": distributed(model).state_dict(), "optimizer": stepped(nn.Linear(2, 2))}
    return saved, models[0][1]


def odd():
    """Views of one storage, transposed and with an offset; a parameter; a double."""
    state = dict(resnet18().state_dict())
    one = torch.rand(2, 64, 3, 64, 3)
    state["layer1.0.conv1.weight"] = one[1].permute(2, 0, 1, 3)
    state["conv1.weight"] = nn.Parameter(state["conv1.weight"].double())
    wanted = {f"backbone.{name}": value.detach().float() for name, value in state.items() if "num_batches" not in name}
    return {"model": state, "numbers": {1: torch.ones(1), 2.5: "x"}}, wanted


class Command:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def main():
    out = Path(sys.argv[1])
    for name in sys.argv[2:]:
        if name == "malicious":
            torch.save({"state_dict": resnet18().state_dict(), "epoch": Command(out / "was-run")}, out / "malicious.pth")
            continue
        saved, wanted = globals()[name]()
        torch.save(saved, out / f"{name}.pth", _use_new_zipfile_serialization=not name.endswith("legacy"))
        write(out / f"{name}.npz", wanted)


def write(path, tensors):
    np.savez(path, **{name: value.detach().contiguous().numpy() for name, value in tensors.items()})


main()
