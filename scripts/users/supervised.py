"""A user of the loader: torchvision's ResNet18 as a plain classifier, fed by it or by torchvision's own `ImageFolder`; all but the data is the same.

    python scripts/users/supervised.py IMAGES [SHARDS] [--first TRAIN VAL] [--size PX] [--epochs N] [--seeds N] [--loaders ours workers2 workers0]

IMAGES is a folder that holds {train,val}/CLASS/IMAGE, or a tar of such a folder (Imagenette's, as it is; `--first 96 100` takes that many images of each
class, in the order of the tar). SHARDS are the same images, packed; if they are not named, they are packed first. What is unpacked and packed goes to a
temporary folder. Prints the validation accuracy of every run, and the mean and the spread of each loader. It needs torch, torchvision and sslight_loader.
"""

import argparse
import statistics
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import resnet18
from torchvision.transforms import v2

from sslight_loader import Loader, views
from sslight_loader.torch_dataset import LoaderDataset

BATCH = 64
LAYOUT = torch.channels_last
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def unpacked(tar: Path, folder: Path, first: dict[str, float]) -> Path:
    """Folder of the images of `tar`: SPLIT/CLASS/IMAGE, whatever folders lie around; of each class no more than its split allows."""
    taken = Counter()
    with tarfile.open(tar) as archive:
        for member in archive:
            split, label, name = ("", "", *Path(member.name).parts)[-3:]
            if not member.isfile() or taken[split, label] >= first.get(split, 0):
                continue
            taken[split, label] += 1
            image = folder / split / label / name
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(archive.extractfile(member).read())
    return folder


def resize_short(size: int) -> int:
    """As 256 is to 224."""
    return round(size * 8 / 7)


class Ours:
    """Batches of the daemon, normalised here."""

    def __init__(self, shards: Path, split: str, size: int, seed: int) -> None:
        recipe = views.supervised(size) if split == "train" else views.val(resize_short(size), size)
        self.dataset = LoaderDataset(shards, split=split, batch_size=BATCH, views=recipe, seed=seed)
        self.mean, self.std = 255 * torch.tensor(MEAN), 255 * torch.tensor(STD)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self):
        for (view,), labels, _ in self.dataset:
            yield ((view[0].float() - self.mean) / self.std).permute(0, 3, 1, 2), labels


def theirs(folder: Path, split: str, size: int, num_workers: int) -> DataLoader:
    """What torchvision's users write, with the bicubic resize that ours has."""
    bicubic = v2.InterpolationMode.BICUBIC
    crop = [v2.RandomResizedCrop(size, interpolation=bicubic), v2.RandomHorizontalFlip()]
    centre = [v2.Resize(resize_short(size), interpolation=bicubic), v2.CenterCrop(size)]
    end = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    is_train = split == "train"
    images = ImageFolder(folder / split, v2.Compose([*(crop if is_train else centre), *end]))
    return DataLoader(images, BATCH, shuffle=is_train, drop_last=is_train, num_workers=num_workers, persistent_workers=num_workers > 0)


@torch.no_grad()
def accuracy(network: torch.nn.Module, batches: Batches) -> float:
    network.eval()
    hits = [(network(images.contiguous(memory_format=LAYOUT)).argmax(1) == labels) for images, labels in batches]
    network.train()
    return torch.cat(hits).float().mean().item()


def train(network: torch.nn.Module, batches: Batches, epochs: int) -> tuple[float, float]:
    """Seconds that the training took, and the part of them that was spent waiting for data."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.05, epochs * len(batches), pct_start=0.2)
    started, waited = time.perf_counter(), 0.0
    for _ in range(epochs):
        asked = time.perf_counter()
        for images, labels in batches:
            waited += time.perf_counter() - asked
            loss = F.cross_entropy(network(images.contiguous(memory_format=LAYOUT)), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
            asked = time.perf_counter()
    return time.perf_counter() - started, waited


def main() -> None:
    loaders = ["ours", "workers2", "workers0"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder that holds {train,val}/CLASS/IMAGE, or a tar of one")
    parser.add_argument("shards", type=Path, nargs="?", help="the same images, packed")
    parser.add_argument("--first", type=int, nargs=2, metavar=("TRAIN", "VAL"), help="of a tar, take that many images of each class")
    parser.add_argument("--size", type=int, default=64, help="pixels of a view (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="%(default)s if it is not said")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each loader (%(default)s)")
    parser.add_argument("--loaders", nargs="+", default=loaders, choices=loaders, help="who feeds the network; ImageFolder with 2 or no workers")
    asked = parser.parse_args()
    if asked.first and (asked.images.is_dir() or asked.shards):
        parser.error("--first is for a tar, without SHARDS")
    with tempfile.TemporaryDirectory() as temporary:
        folder, shards = asked.images, asked.shards
        if not folder.is_dir():
            train, val = asked.first or (float("inf"), float("inf"))
            folder = unpacked(folder, Path(temporary, "images"), {"train": train, "val": val})
        if shards is None:
            shards = Loader.pack(folder, Path(temporary, "shards"))
        compare(folder, shards, asked)


def compare(folder: Path, shards: Path, asked: argparse.Namespace) -> None:
    num_classes = len(ImageFolder(folder / "train").classes)
    batches_of: dict[str, Callable[[str, int], Batches]] = {
        "ours": lambda split, seed: Ours(shards, split, asked.size, seed),
        "workers2": lambda split, seed: theirs(folder, split, asked.size, 2),
        "workers0": lambda split, seed: theirs(folder, split, asked.size, 0),
    }
    found: dict[str, list[float]] = {loader: [] for loader in asked.loaders}
    for seed in range(asked.seeds):
        for loader in asked.loaders:
            torch.manual_seed(seed)
            network = resnet18(num_classes=num_classes).to(memory_format=LAYOUT)
            batches = batches_of[loader]("train", seed)
            took, waited = train(network, batches, asked.epochs)
            found[loader].append(accuracy(network, batches_of[loader]("val", seed)))
            speed = asked.epochs * len(batches) * BATCH / took
            print(f"seed {seed}, {loader}: {found[loader][-1]:.1%}, {took:.0f} s, {speed:.1f} img/s, {waited / took:.1%} waiting for data", flush=True)
    for loader, values in found.items():
        print(f"{loader}: {statistics.mean(values):.1%}, from {min(values):.1%} to {max(values):.1%}")


if __name__ == "__main__":
    main()
