"""Shards read and written by the Python library `webdataset`.

usage: webdataset_io.py read PATTERN    a JSON line per sample: its key, and each field in hexadecimal
       webdataset_io.py write FOLDER    shards of samples given as JSON lines on standard input:
                                        {"shard": ..., "format": "pax" or "gnu", "key": ..., "fields": {extension: hexadecimal}}
       webdataset_io.py write_sharded FOLDER    shards by ShardWriter of the images in hexadecimal on standard input, a line each
       webdataset_io.py names           for each name of a JSON list on standard input its key and extension, or null
       webdataset_io.py braces          for each pattern of a JSON list on standard input the names that it stands for
"""

import json
import sys
import tarfile

import braceexpand
import webdataset
from webdataset.tariterators import base_plus_ext


def read(pattern):
    for sample in webdataset.WebDataset(pattern, shardshuffle=False, empty_check=False):
        fields = {name: value.hex() for name, value in sample.items() if not name.startswith("__")}
        print(json.dumps({"key": sample["__key__"], "fields": fields}))


def write(folder):
    samples = [json.loads(line) for line in sys.stdin]
    formats = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}
    for shard in dict.fromkeys(sample["shard"] for sample in samples):
        of_shard = [sample for sample in samples if sample["shard"] == shard]
        with webdataset.TarWriter(f"{folder}/{shard}", encoder=False) as writer:
            writer.tarstream.format = formats[of_shard[0]["format"]]
            for sample in of_shard:
                fields = {name: bytes.fromhex(value) for name, value in sample["fields"].items()}
                writer.write({"__key__": sample["key"], **fields})


def write_sharded(folder):
    """ShardWriter and its own encoders: labels are numbers, metadata is a dict."""
    images = [bytes.fromhex(line.strip()) for line in sys.stdin]
    with webdataset.ShardWriter(f"{folder}/numbered-%06d.tar", maxcount=2, verbose=0) as writer:
        for number, image in enumerate(images):
            label = {"cls": number} if number % 2 else {"json": {"label": number}}
            writer.write({"__key__": f"sample{number:04d}", "jpg": image, **label})


def names():
    print(json.dumps([None if base_plus_ext(name)[0] is None else base_plus_ext(name) for name in json.load(sys.stdin)]))


def braces():
    print(json.dumps([list(braceexpand.braceexpand(pattern)) for pattern in json.load(sys.stdin)]))


if __name__ == "__main__":
    commands = {"read": read, "write": write, "write_sharded": write_sharded, "names": names, "braces": braces}
    commands[sys.argv[1]](*sys.argv[2:])
