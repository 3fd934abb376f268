"""The oracle for views: applies given view parameters with Pillow and torchvision.

Reads one JSON object per line from standard input:
    pixels, width, height    file of raw RGB bytes and its size
    crop                     [left, top, width, height]
    resized, window, size    size after the resize, left and top of the view in it, size of the view
    flip, jitter, grey, blur, solarize
                             jitter: null or {order, brightness, contrast, saturation, hue (may be null)}; blur: null or radius
    out                      file to write the raw RGB bytes of the view to

Source of the order and of every operation: torchvision.transforms.functional on Pillow images, PIL.ImageFilter and PIL.ImageOps.
"""

import json
import sys

from PIL import Image, ImageFilter, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F


def read_image(view):
    with open(view["pixels"], "rb") as file:
        return Image.frombytes("RGB", (view["width"], view["height"]), file.read())


def cut(image, view):
    left, top, width, height = view["crop"]
    resized_width, resized_height = view["resized"]
    size = [resized_height, resized_width]
    image = F.resized_crop(image, top, left, height, width, size, InterpolationMode.BICUBIC)
    left, top = view["window"]
    image = F.crop(image, top, left, view["size"], view["size"])
    return F.hflip(image) if view["flip"] else image


def jitter(image, factors):
    adjust = {
        "brightness": F.adjust_brightness,
        "contrast": F.adjust_contrast,
        "saturation": F.adjust_saturation,
        "hue": F.adjust_hue,
    }
    for name in factors["order"]:
        if factors[name] is not None:
            image = adjust[name](image, factors[name])
    return image


def make(view):
    image = cut(read_image(view), view)
    if view["jitter"]:
        image = jitter(image, view["jitter"])
    if view["grey"]:
        image = F.to_grayscale(image, num_output_channels=3)
    if view["blur"] is not None:
        image = image.filter(ImageFilter.GaussianBlur(radius=view["blur"]))
    return ImageOps.solarize(image) if view["solarize"] else image


def main():
    for line in sys.stdin:
        view = json.loads(line)
        with open(view["out"], "wb") as file:
            file.write(make(view).tobytes())


main()
