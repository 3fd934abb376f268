"""A user of the loader: DINO of the public reference implementation, from a checkout of it, on the CPU and fed by it in place of its own data loader.

    python scripts/users/reference_dino.py CHECKOUT SHARDS [--steps N] [KEY VALUE]...

CHECKOUT is the folder that holds its `src`; KEY VALUE are settings of its own. With --own it reads its own data, and SHARDS is its folder of HDF5 files.
Needs, beside torch: fvcore, h5py, simplejson, tensorboard, tqdm.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch

from sslight_loader import views
from sslight_loader.torch_dataset import LoaderDataset

WARM_UP = 5


class OurDatasetLoader:
    """Stands where the reference's `ImageDatasetLoader` stood: batches of `(ids, views, labels)`, views float, normalised and channels first."""

    def __init__(self, cfg, rank: int) -> None:
        self.cfg = cfg

    def get_loader(self, stage: str, batch_size: int, transforms: object) -> tuple["OurDatasetLoader", int]:
        sizes = self.cfg.MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE, self.cfg.MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE
        is_train = stage.lower() == "train"
        recipe = views.sslight().with_sizes(*sizes) if is_train else views.val(sizes[0] * 8 // 7, sizes[0])
        split = "train" if is_train else "val"
        self.dataset = LoaderDataset(self.cfg.DATA.PATH_TO_DATA_DIR, split=split, batch_size=batch_size, views=recipe, seed=self.cfg.SEED)
        self.mean, self.std = (255 * torch.tensor(values) for values in (self.cfg.DATA.MEAN, self.cfg.DATA.STD))
        return self, self.dataset.num_samples

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self):
        for groups, labels, ids in self.dataset:
            yield ids, [self._normalised(view) for group in groups for view in group], labels

    def _normalised(self, view_nhwc: torch.Tensor) -> torch.Tensor:
        return ((view_nhwc.float() - self.mean) / self.std).permute(0, 3, 1, 2).contiguous()


class Timed:
    """The first batches of a loader, and how long they were waited for once it was warm."""

    def __init__(self, loader, num_steps: int) -> None:
        self.loader, self.num_steps = loader, num_steps

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self):
        batches = iter(self.loader)
        self.waited = 0.0
        for step in range(self.num_steps):
            asked = time.perf_counter()
            if step == WARM_UP:
                self.started, self.waited = asked, 0.0
            batch = next(batches)
            self.waited += time.perf_counter() - asked
            yield batch
        self.took = time.perf_counter() - self.started


def use_the_cpu() -> None:
    """The reference asks for CUDA by name: those calls do nothing, and a model on one CPU process needs neither devices nor synchronised statistics."""
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda = lambda self, *_, **__: self
    torch.cuda.set_device = torch.cuda.synchronize = lambda *_: None
    torch.nn.SyncBatchNorm.convert_sync_batchnorm = staticmethod(lambda model: model)
    parallel = torch.nn.parallel.DistributedDataParallel
    torch.nn.parallel.DistributedDataParallel = lambda model, device_ids: parallel(model)


def settings(asked: argparse.Namespace, source: Path):
    from config.defaults import get_cfg

    cfg = get_cfg()
    cfg.merge_from_file(str(source / "config/exp_yamls/dino/dino_cnn_sslight.yaml"))
    small = ["MULTI_VIEWS_TRANSFORMS.GLOBAL_CROP_SIZE", 64, "MULTI_VIEWS_TRANSFORMS.LOCAL_CROP_SIZE", 32, "TRAIN.BATCH_SIZE", 32]
    here = ["MODEL.BACKBONE_ARCH", "resnet18", "DIST_BACKEND", "gloo", "WORKERS", 2, "DATA.PATH_TO_DATA_DIR", asked.shards]
    cfg.merge_from_list([*small, *here, *asked.settings])
    return cfg


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkout", type=Path)
    parser.add_argument("shards")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--own", action="store_true", help="its own data loader")
    parser.add_argument("settings", nargs="*")
    asked = parser.parse_intermixed_args()
    source = (asked.checkout / "src").resolve()
    sys.path.insert(0, str(source))
    use_the_cpu()
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": os.environ.get("MASTER_PORT", "9887")}
    from sslight.engine import trainer as engine
    from sslight.engine.dino_trainer import DINOTrainer

    if not asked.own:
        engine.ImageDatasetLoader = OurDatasetLoader
    cfg = settings(asked, source)
    torch.manual_seed(cfg.SEED)
    trainer = DINOTrainer(0, 1, cfg)
    trainer.gpu = "cpu"
    trainer.loader = Timed(trainer.loader, asked.steps)
    trainer.train_epoch(0)
    num_images = (asked.steps - WARM_UP) * cfg.TRAIN.BATCH_SIZE
    print(f"{num_images / trainer.loader.took:.1f} img/s, {trainer.loader.waited / trainer.loader.took:.1%} of the time spent waiting for data")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
