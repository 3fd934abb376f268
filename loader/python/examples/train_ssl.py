"""The smallest complete self-supervised training: SimCLR's loss on any folder of images, measured by nearest neighbours. Needs torch and this package.

    python train_ssl.py IMAGES [EPOCHS]      # IMAGES/{train,val}/CLASS/*.jpg, or a folder that was packed
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from sslight_loader import Loader, views

SIZE, BATCH, DIM = 64, 128, 128
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def stage(num_in: int, num_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(num_in, num_out, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(num_out), nn.ReLU())


class Network(nn.Module):
    """Five convolutions, then a projection that is left out when features are compared."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, 32, 64, 128, 256, 256]
        self.backbone = nn.Sequential(*map(stage, widths, widths[1:]), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Sequential(nn.Linear(256, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, DIM))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.head(self.backbone(images)))


def normalised(view_nhwc: torch.Tensor) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float [n, 3, h, w] around zero: the one copy."""
    return view_nhwc.to(DEVICE).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def contrast(first: torch.Tensor, second: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """SimCLR's loss: each view among all views of the batch must find the other view of its image."""
    both = torch.cat([first, second])
    similar = both @ both.T / temperature
    similar.fill_diagonal_(float("-inf"))
    n = len(first)
    other = torch.cat([torch.arange(n, 2 * n), torch.arange(n)]).to(DEVICE)
    return F.cross_entropy(similar, other)


@torch.no_grad()
def features(loader: Loader, split: str, network: Network) -> tuple[torch.Tensor, torch.Tensor]:
    network.eval()
    found = []
    with loader.subscribe(split, BATCH, views.val(SIZE, SIZE), shuffle=False) as batches:
        for batch in batches:
            (view,) = batch.views[0].torch()
            found.append((F.normalize(network.backbone(normalised(view))), batch.labels.torch().to(DEVICE)))
    network.train()
    rows, labels = zip(*found)
    return torch.cat(rows), torch.cat(labels)


def accuracy(loader: Loader, network: Network, neighbours: int = 10) -> float:
    """Share of validation images whose nearest training images are mostly of their class."""
    known, classes = features(loader, "train", network)
    asked, truth = features(loader, "val", network)
    nearest = (asked @ known.T).topk(neighbours).indices
    return (classes[nearest].mode().values == truth).float().mean().item()


def main(images: str, epochs: int) -> None:
    is_packed = (Path(images) / "manifest.json").exists()
    loader = Loader(images if is_packed else Loader.pack(images))
    torch.manual_seed(0)
    network = Network().to(DEVICE)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-4)
    print(f"random network: {accuracy(loader, network):.1%}")
    with loader.subscribe("train", BATCH, views.moco().with_sizes(SIZE), epochs=epochs) as batches:
        for batch in batches:
            first, second = batch.views[0].torch()
            loss = contrast(network(normalised(first)), network(normalised(second)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if batch.step + 1 == batches.steps_per_epoch:
                print(f"epoch {batch.epoch}: loss {loss.item():.3f}")
    print(f"after {epochs} epochs: {accuracy(loader, network):.1%}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10)
