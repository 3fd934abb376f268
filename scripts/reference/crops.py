"""The oracle for random crops: draws them with torchvision's RandomResizedCrop.get_params.

Reads one JSON object from standard input: width, height, scale, ratio, num, seed. Prints a JSON list of [left, top, width, height].
"""

import json
import sys

import torch
from PIL import Image
from torchvision.transforms import RandomResizedCrop


def main():
    request = json.load(sys.stdin)
    torch.manual_seed(request["seed"])
    image = Image.new("L", (request["width"], request["height"]))
    crops = []
    for _ in range(request["num"]):
        top, left, height, width = RandomResizedCrop.get_params(
            image, request["scale"], request["ratio"]
        )
        crops.append([left, top, width, height])
    print(json.dumps(crops))


main()
