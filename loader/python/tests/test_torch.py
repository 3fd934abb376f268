"""The adapter for torch's DataLoader."""

import subprocess
import sys

import pytest
import torch
from conftest import SMALL, WATCHDOG_S
from torch.utils.data import DataLoader

from sslight_loader import UsageError
from sslight_loader.torch_dataset import LoaderDataset


@pytest.fixture
def dataset(shards):
    return LoaderDataset(shards, batch_size=8, views=SMALL, seed=5)


def epoch_of(dataset):
    return [ids.tolist() for _, _, ids in dataset]


def test_every_iter_is_the_next_epoch_and_set_epoch_chooses(dataset):
    assert len(dataset) == 7 and len(dataset.classes) == 3 and dataset.num_samples == 60
    first, second = epoch_of(dataset), epoch_of(dataset)
    assert first != second and len(first) == len(second) == 7
    dataset.set_epoch(0)
    assert epoch_of(dataset) == first
    dataset.set_epoch(1)
    assert epoch_of(dataset) == second


def test_an_epoch_that_was_left_is_followed_by_a_whole_one(dataset):
    first, second = epoch_of(dataset), epoch_of(dataset)
    dataset.set_epoch(0)
    _, _, ids = next(iter(dataset))
    assert ids.tolist() == first[0]
    assert dataset.state_dict() == {"epoch": 0, "step": 1}
    assert epoch_of(dataset) == second
    next(iter(dataset))
    dataset.set_epoch(0)
    assert epoch_of(dataset) == first


def test_a_state_goes_on_in_the_midst_of_an_epoch(dataset, shards):
    whole = epoch_of(dataset)
    dataset.set_epoch(0)
    some = []
    for _, _, ids in dataset:
        some.append(ids.tolist())
        if len(some) == 3:
            break
    state = dataset.state_dict()
    resumed = LoaderDataset(shards, batch_size=8, views=SMALL, seed=5)
    resumed.load_state_dict(state)
    resumed.set_epoch(0)
    assert some + epoch_of(resumed) == whole


def test_a_data_loader_adds_nothing(dataset):
    for (big, small), labels, ids in DataLoader(dataset, batch_size=None):
        assert big.shape == (2, 8, 48, 48, 3) and small.dtype == torch.uint8
        assert labels.shape == ids.shape == (8,)


def test_workers_are_refused(dataset):
    with pytest.raises(UsageError, match="num_workers=0"):
        next(iter(DataLoader(dataset, batch_size=None, num_workers=1)))


def test_ranks_of_torchrun_share_an_epoch(shards, tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(
        "import sys, os\n"
        "from sslight_loader import views\n"
        "from sslight_loader.torch_dataset import LoaderDataset\n"
        "dataset = LoaderDataset(sys.argv[1], batch_size=5, views=views.val(64, 32))\n"
        "ids = [id for _, _, ids in dataset for id in ids.tolist()]\n"
        "open(f'{sys.argv[2]}/{os.environ[\"RANK\"]}', 'w').write(' '.join(map(str, ids)))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", script, shards, tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=WATCHDOG_S)
    assert done.returncode == 0, done.stderr
    ids = [(tmp_path / rank).read_text().split() for rank in "01"]
    assert len(ids[0]) == len(ids[1]) == 30
    assert sorted(map(int, ids[0] + ids[1])) == list(range(60))
