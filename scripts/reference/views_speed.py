#!/usr/bin/env python3
"""How fast others make SSLight's views on the CPU: what our loader is held against.

usage: views_speed.py PEER FOLDER SECONDS    PEER: pillow, torchvision, torchvision-card, dali or dali-card; FOLDER holds *.JPEG files at any depth
Prints source images per second. Work: decode, two views of 224 px (crops of .3-1) and six of 128 (.05-.3), bicubic and antialiased, flip, colour jitter,
grey, blur, solarise, uint8 in main memory; torchvision-card decodes batches of 64 by nvJPEG, and its views stay on the card. The files are read once
before: no disk is measured. DALI needs nvidia-dali-cuda130.
"""
import io
import os
import pathlib
import random
import sys
import time

import numpy as np
import torch

GLOBAL, LOCAL = (224, (0.3, 1.0)), (128, (0.05, 0.3))
# Size, scale of the crop, probability of blur, of solarising.
VIEWS = [(*GLOBAL, 1.0, 0.0), (*GLOBAL, 0.1, 0.2)] + 6 * [(*LOCAL, 0.5, 0.0)]
JITTER = (0.4, 0.4, 0.2, 0.1)
SIGMA = (0.1, 2.0)


def crops_and_colours(transforms, **options):
    """Of each view, its transform up to the blur; `transforms` is torchvision's first or second generation."""
    bicubic = transforms.InterpolationMode.BICUBIC
    colours = [transforms.RandomApply([transforms.ColorJitter(*JITTER)], 0.8), transforms.RandomGrayscale(0.2)]
    crop = lambda size, scale: transforms.RandomResizedCrop(size, scale, interpolation=bicubic, **options)
    return [transforms.Compose([crop(size, scale), transforms.RandomHorizontalFlip(), *colours]) for size, scale, _, _ in VIEWS]


def by_pillow():
    """As the public SSLight and DINO do."""
    from PIL import Image, ImageFilter, ImageOps
    from torchvision import transforms

    makers = crops_and_colours(transforms)

    def make(data):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        out = []
        for maker, (_, _, blur, solarise) in zip(makers, VIEWS):
            view = maker(image)
            if random.random() < blur:
                view = view.filter(ImageFilter.GaussianBlur(random.uniform(*SIGMA)))
            if random.random() < solarise:
                view = ImageOps.solarize(view)
            out.append(torch.from_numpy(np.array(view)))
        return out

    return make


def views_of_tensors():
    """From a decoded image to its views, by torchvision on whatever device the image is."""
    from torchvision.transforms import v2

    ends = [v2.Compose([v2.RandomApply([v2.GaussianBlur(9, SIGMA)], blur), v2.RandomSolarize(128, solarise)]) for _, _, blur, solarise in VIEWS]
    makers = list(zip(crops_and_colours(v2, antialias=True), ends))
    return lambda image: [end(maker(image)) for maker, end in makers]


def by_torchvision():
    """Tensors all the way, with torchvision's own decoder."""
    from torchvision.io import ImageReadMode, decode_jpeg

    views = views_of_tensors()
    return lambda data: views(decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB))


def on_the_card(files):
    """A batch is decoded in one call, since that is what nvJPEG's engines want."""
    from torchvision.io import ImageReadMode, decode_jpeg

    batch, views = 64, views_of_tensors()
    tensors = [torch.frombuffer(bytearray(data), dtype=torch.uint8) for data in files]

    def batches():
        position = 0
        while True:
            chosen = [tensors[(position + nth) % len(tensors)] for nth in range(batch)]
            position += batch
            made = [views(image) for image in decode_jpeg(chosen, mode=ImageReadMode.RGB, device="cuda")]
            torch.cuda.synchronize()
            yield made

    return batch, batches()


class Endless(torch.utils.data.Dataset):
    """One image after another, as often as asked; transforms are made in the worker."""

    def __init__(self, files, maker):
        self.files, self.maker, self.make = files, maker, None

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index):
        if self.make is None:
            torch.set_num_threads(1)
            self.make = self.maker()
        return self.make(self.files[index % len(self.files)])


def data_loader(files, maker):
    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(Endless(files, maker), batch_size=16, num_workers=os.cpu_count())
    return 16, iter(loader)


def dali(files, decoder="cpu"):
    """`mixed` decodes by nvJPEG, and all that follows stays on the card. Blur is all samples' or none's in DALI: those without one get a radius that changes nothing."""
    from nvidia.dali import fn, pipeline_def, types

    batch = 32
    arrays = [np.frombuffer(data, np.uint8) for data in files]
    position = iter(range(1 << 40))
    next_files = lambda: [arrays[next(position) % len(arrays)] for _ in range(batch)]

    def view(image, size, scale, blur, solarise):
        crop = {"size": size, "random_area": scale, "interp_type": types.INTERP_CUBIC, "antialias": True}
        out = fn.random_resized_crop(image, **crop)
        jitters = fn.cast(fn.random.coin_flip(probability=0.8), dtype=types.FLOAT)
        stays = 1.0 - fn.cast(fn.random.coin_flip(probability=0.2), dtype=types.FLOAT)
        brightness, contrast, saturation = (1.0 + jitters * fn.random.uniform(range=(-a, a)) for a in JITTER[:3])
        hue = jitters * fn.random.uniform(range=(-360 * JITTER[3], 360 * JITTER[3]))
        out = fn.color_twist(out, brightness=brightness, contrast=contrast, saturation=saturation * stays, hue=hue)
        blurs = fn.cast(fn.random.coin_flip(probability=blur), dtype=types.FLOAT)
        out = fn.gaussian_blur(out, sigma=0.05 + blurs * fn.random.uniform(range=SIGMA), window_size=9)
        if solarise:
            inverts = fn.cast(fn.random.coin_flip(probability=solarise), dtype=types.UINT8) * fn.cast(out >= 128, dtype=types.UINT8)
            out = fn.cast(out * (1 - inverts) + (255 - out) * inverts, dtype=types.UINT8)
        return fn.flip(out, horizontal=fn.random.coin_flip())

    @pipeline_def(batch_size=batch, num_threads=os.cpu_count(), device_id=None if decoder == "cpu" else 0, prefetch_queue_depth=2)
    def pipeline():
        image = fn.decoders.image(fn.external_source(next_files, dtype=types.UINT8), device=decoder, output_type=types.RGB)
        return tuple(view(image, *spec) for spec in VIEWS)

    built = pipeline()
    built.build()
    return batch, iter(built.run, None)


def main(peer, folder, seconds):
    files = [path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*.JPEG"))]
    peers = {"pillow": lambda: data_loader(files, by_pillow), "torchvision": lambda: data_loader(files, by_torchvision), "torchvision-card": lambda: on_the_card(files), "dali": lambda: dali(files), "dali-card": lambda: dali(files, "mixed")}
    batch, batches = peers[peer]()
    for _ in range(4):
        next(batches)
    started, num_images = time.monotonic(), 0
    while time.monotonic() - started < float(seconds):
        next(batches)
        num_images += batch
    print(num_images / (time.monotonic() - started))


main(*sys.argv[1:])
