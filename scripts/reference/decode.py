"""The oracle for decoding: makes image files of every kind with Pillow and says what Pillow reads back.

Usage: decode.py FOLDER. Writes each file as NAME and the pixels of `Image.open(NAME).convert("RGB")` as NAME.rgb, and prints one
JSON object per file: name, width, height, or name alone where Pillow refuses the file.
"""

import io
import json
import sys
from pathlib import Path

import numpy
from PIL import Image


def picture(width, height, seed=0):
    """Smooth waves, some noise and a sharp edge, as uint8 [height, width, 3]."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    waves = [numpy.sin(x / (5 + 7 * c + seed) + y / (11 - 2 * c)) for c in range(3)]
    values = 127 + 90 * numpy.stack(waves, axis=2)
    values += numpy.random.default_rng(seed).normal(0, 12, values.shape)
    values[:, width // 2 :] = 255 - values[:, width // 2 :]
    return values.clip(0, 255).astype(numpy.uint8)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def jpegs():
    for width, height in [(1, 1), (2, 3), (17, 9), (227, 150), (1, 700), (900, 2)]:
        image = Image.fromarray(picture(width, height))
        for name, options in {
            "420": {"subsampling": "4:2:0"},
            "422": {"subsampling": "4:2:2"},
            "444": {"subsampling": "4:4:4"},
            "progressive": {"progressive": True},
            "restarts": {"restart_marker_rows": 1},
        }.items():
            yield f"{name}-{width}x{height}.jpg", saved(image, "JPEG", quality=85, **options)
        yield f"grey-{width}x{height}.jpg", saved(image.convert("L"), "JPEG")
        yield f"cmyk-{width}x{height}.jpg", saved(image.convert("CMYK"), "JPEG")


def damaged_jpegs():
    image = Image.fromarray(picture(227, 150))
    for name, options in {"baseline": {}, "progressive": {"progressive": True}}.items():
        whole = saved(image, "JPEG", **options)
        for part in (0.1, 0.5, 0.9, 0.99):
            yield f"{name}-cut-at-{part}.jpg", whole[: int(len(whole) * part)]
    whole = saved(image, "JPEG")
    yield "no-end-marker.jpg", whole[:-2]
    yield "bytes-after-the-end.jpg", whole + b"more"
    yield "bytes-in-the-header.jpg", whole[:20] + b"junk" + whole[20:]
    yield "header-only.jpg", whole[: whole.index(b"\xff\xda")]


def others():
    pixels = picture(40, 31)
    image = Image.fromarray(pixels)
    alpha = Image.fromarray(pixels[:, :, 0])
    yield "rgb.png", saved(image, "PNG")
    with_alpha = image.copy()
    with_alpha.putalpha(alpha)
    yield "rgba.png", saved(with_alpha, "PNG")
    yield "grey.png", saved(image.convert("L"), "PNG")
    yield "grey-alpha.png", saved(with_alpha.convert("LA"), "PNG")
    yield "palette.png", saved(image.quantize(37), "PNG")
    yield "palette-4-bit.png", saved(image.quantize(11), "PNG")
    yield "bilevel.png", saved(image.convert("1"), "PNG")
    yield "grey-16-bit.png", saved(Image.fromarray(pixels[:, :, 0].astype(numpy.uint16) * 257), "PNG")
    yield "rgb.bmp", saved(image, "BMP")
    yield "palette.gif", saved(image.quantize(50), "GIF")
    yield "lossless.webp", saved(image, "WEBP", lossless=True)
    yield "cut.png", saved(image, "PNG")[:900]
    yield "not-an-image.jpg", b"<html>gone</html>"
    yield "empty.jpg", b""


def main():
    folder = Path(sys.argv[1])
    for make in (jpegs, damaged_jpegs, others):
        for name, content in make():
            (folder / name).write_bytes(content)
            found = {"name": name}
            try:
                image = Image.open(io.BytesIO(content)).convert("RGB")
                (folder / f"{name}.rgb").write_bytes(image.tobytes())
                found["width"], found["height"] = image.size
            except OSError:
                pass
            print(json.dumps(found))


main()
