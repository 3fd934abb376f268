"""A user of the loader: lightly's DINO (PyPI: lightly) on ResNet18, fed by it in place of lightly's own data sets and transforms.

    python scripts/users/lightly_dino.py SHARDS [STEPS]
"""

import copy
import sys
import time

import torch
from lightly.loss import DINOLoss
from lightly.models.modules import DINOProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn
from torchvision.models import resnet18

from sslight_loader import views
from sslight_loader.torch_dataset import LoaderDataset

NUM_PROTOTYPES, BATCH = 256, 64
JITTER = views.Jitter(0.8, brightness=0.2, contrast=0.2, saturation=0.1)
BIG = views.View(32, views.RandomResizedCrop((0.3, 1.0)), flip=0.5, jitter=JITTER)
SMALL = views.View(24, views.RandomResizedCrop((0.1, 0.4)), flip=0.5, jitter=JITTER)
MEAN, STD = 255 * torch.tensor([0.485, 0.456, 0.406]), 255 * torch.tensor([0.229, 0.224, 0.225])


class Dino(nn.Module):
    """Student and teacher as in lightly's own example."""

    def __init__(self) -> None:
        super().__init__()
        network = resnet18()
        network.fc = nn.Identity()
        self.student = network
        self.student_head, self.teacher_head = (DINOProjectionHead(512, 512, 128, NUM_PROTOTYPES, batch_norm=True) for _ in range(2))
        self.teacher = copy.deepcopy(network)
        self.teacher_head.load_state_dict(self.student_head.state_dict())
        for half in (self.teacher, self.teacher_head):
            deactivate_requires_grad(half)


def normalised(view_nhwc: torch.Tensor) -> torch.Tensor:
    return ((view_nhwc.float() - MEAN) / STD).permute(0, 3, 1, 2)


def main(shards: str, num_steps: int) -> None:
    torch.manual_seed(0)
    dataset = LoaderDataset(shards, batch_size=BATCH, views=views.Recipe((BIG, BIG, SMALL, SMALL)), seed=0)
    model, criterion = Dino(), DINOLoss(output_dim=NUM_PROTOTYPES, teacher_temp=0.04, warmup_teacher_temp_epochs=1)
    optimiser = torch.optim.AdamW((parameter for parameter in model.parameters() if parameter.requires_grad), lr=3e-4)
    start, step, epoch, losses = time.perf_counter(), 0, 0, []
    while step < num_steps:
        for (big, small), _, _ in dataset:
            update_momentum(model.student, model.teacher, m=0.98)
            update_momentum(model.student_head, model.teacher_head, m=0.98)
            large = [normalised(view) for view in big]
            teacher = [model.teacher_head(model.teacher(view)) for view in large]
            student = [model.student_head(model.student(view)) for view in large + [normalised(view) for view in small]]
            loss = criterion(teacher, student, epoch=epoch)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            losses.append(loss.item())
            step += 1
            if step % 10 == 0 or step == num_steps:
                mean = sum(losses[-10:]) / len(losses[-10:])
                print(f"step {step}: loss {mean:.4f}, {BATCH * step / (time.perf_counter() - start):.1f} img/s", flush=True)
            if step == num_steps:
                break
        epoch += 1


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100)
