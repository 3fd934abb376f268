"""`python -m sslight_loader`."""

import json
import re

import pytest
from conftest import program
from PIL import Image
from sslight_loader import Loader, LoaderTimeoutError, bench


def test_doctor_looks_at_machine_and_data(shards, images):
    healthy = program("doctor", shards)
    assert healthy.returncode == 0, healthy.stderr
    assert re.search(r"ok    splits: train 60, val 60", healthy.stdout)
    assert re.search(r"(note  no|ok   ) views on a card: \S", healthy.stdout)
    sick = program("doctor", images)
    assert sick.returncode == 1 and "BAD   data and daemon: NotPackedError" in sick.stderr


def test_bench_tells_rate_and_time(shards):
    told = program("bench", shards, "--seconds", "0.2", "--batch-size", "4", "--views", "val")
    assert told.returncode == 0, told.stderr
    assert re.search(r"[\d.]+ images/s.*\n[\d.]+ us for a batch.*\nstage +images +ms/batch +busy\n", told.stdout)
    assert re.search(r"\nreading and decoding, CPU +\d+ +[\d.]+ +[\d.]+ %\n", told.stdout)
    told = program("bench", shards, "--seconds", "0.2", "--batch-size", "4", "--views", "val", "--json")
    told = json.loads(told.stdout)
    assert told["images_per_s"] > 0 and "the rate" in told["bound"]
    assert [stage["stage"] for stage in told["stages"]] == ["waiting for a free slot", "reading and decoding, CPU", "views, CPU"]


def test_a_bench_whose_stream_is_gone_ends(shards, monkeypatch):
    monkeypatch.setattr(bench, "_PATIENCE_S", 0.1)
    with Loader(shards) as loader, loader.subscribe(batch_size=4), pytest.raises(LoaderTimeoutError, match="no new batch"):
        bench._ours(loader, "another name")


def test_preview_draws_a_sheet(shards, tmp_path):
    told = program("preview", shards, "--images", "2", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert Image.open(tmp_path / "views.png").height > 224


def test_programs_keep_their_exit_codes_and_words(tmp_path):
    for command, code, words in [
        (["status", tmp_path], 6, "no loader answers"),
        (["verify", tmp_path], 3, "error[3]"),
        (["serve"], 2, "Usage"),
        (["dance"], 2, "usage: python -m sslight_loader"),
    ]:
        told = program(*command)
        assert told.returncode == code and words in told.stderr, told.stderr
    assert "doctor PATH" in program("--help").stdout
