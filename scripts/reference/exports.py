"""Loads exported backbones into torchvision's and timm's models, strictly, and computes features of the same images.

    exports.py OUT.npz DIR

DIR holds ARCH.safetensors, and ARCH.detectron2.safetensors for ResNets. Writes `images` and, for each ARCH, `ARCH/features` of the model in
evaluation mode. The names of detectron2's ResNets are made here from their structure.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

DEPTHS = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3], "resnet50": [3, 4, 6, 3]}


def model(arch):
    if arch.startswith("vit_"):
        return timm.create_model(f"{arch}_patch16_224", num_classes=0)
    found = getattr(torchvision.models, arch)()
    setattr(found, "classifier" if arch == "mobilenet_v2" else "fc", nn.Identity())
    return found


def detectron2_names(arch):
    """Stem and stages 2 to 5; a convolution has its normalisation below it; a shortcut where channels change."""
    bottleneck = arch == "resnet50"
    convolutions = ["stem.conv1"]
    for stage, depth in enumerate(DEPTHS[arch]):
        for block in range(depth):
            place = f"res{stage + 2}.{block}"
            convolutions += [f"{place}.conv{number}" for number in range(1, 4 if bottleneck else 3)]
            if block == 0 and (stage > 0 or bottleneck):
                convolutions.append(f"{place}.shortcut")
    norm = ["weight", "bias", "running_mean", "running_var"]
    return [name for conv in convolutions for name in [f"{conv}.weight"] + [f"{conv}.norm.{part}" for part in norm]]


torch.set_num_threads(1)
torch.manual_seed(0)
images = torch.rand(2, 3, 224, 224)
out = {"images": images.numpy()}
folder = Path(sys.argv[2])
for path in sorted(folder.glob("*.safetensors")):
    arch = path.name.split(".")[0]
    state = load_file(path)
    if "detectron2" in path.name:
        names = detectron2_names(arch)
        assert set(state) == set(names), set(state) ^ set(names)
        # Both list a block's convolutions in order, each with its normalisation, and the shortcut last.
        own = load_file(folder / f"{arch}.safetensors")
        own = [own[name] for name in model(arch).state_dict() if not name.endswith("num_batches_tracked")]
        assert len(own) == len(names) and all(torch.equal(state[name], value) for name, value in zip(names, own)), arch
        continue
    network = model(arch).eval()
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        out[f"{arch}/features"] = network(images).numpy()
np.savez(sys.argv[1], **out)
