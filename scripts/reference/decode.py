"""The oracle for decoding: makes image files of every kind and says what Pillow reads back.

Usage: decode.py FOLDER. Writes each file as NUMBER and the pixels of `Image.open(NUMBER).convert("RGB")` as NUMBER.rgb, and prints one
JSON object per file: number, kinds (see jpeg_matrix.py), width, height, or number and kinds alone where Pillow refuses the file.
"""

import io
import json
import sys
import zlib
from pathlib import Path

import numpy
from PIL import Image

from jpeg_matrix import files, kinds, picture


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def sizes():
    """JPEGs of sides that are no multiple of anything."""
    for width, height in [(1, 1), (2, 3), (17, 9), (227, 150), (1, 700), (900, 2)]:
        image = Image.fromarray(picture(width, height))
        for sampling in ("4:4:4", "4:2:2", "4:2:0"):
            for progressive in (False, True):
                scans = "progressive" if progressive else "one baseline scan"
                content = saved(image, "JPEG", quality=85, subsampling=sampling, progressive=progressive)
                yield kinds("YCbCr", sampling, scans, f"{width} x {height}"), content


def png(palette_len):
    """A PNG of 8-bit indices with a palette of so many bytes."""

    def chunk(name, body):
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = (16).to_bytes(4, "big") * 2 + bytes([8, 3, 0, 0, 0])
    rows = zlib.compress(b"".join(b"\0" + bytes(range(16)) for _ in range(16)))
    palette = bytes(at * 7 % 256 for at in range(palette_len))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


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
    yield "plain.pnm", b"P3 2 1 255\n1 2 3 250 251 252\n"
    yield "rgb.pnm", saved(image, "PPM")
    yield "grey.pnm", saved(image.convert("L"), "PPM")
    yield "bilevel.pnm", saved(image.convert("1"), "PPM")
    yield "lossy.webp", saved(image, "WEBP", quality=80)
    yield "alpha.webp", saved(with_alpha, "WEBP", lossless=True)
    yield "grey.bmp", saved(image.convert("L"), "BMP")
    yield "rgba.bmp", saved(with_alpha, "BMP")
    yield "interlaced.gif", saved(image.quantize(50), "GIF", interlace=1)
    yield "two-frames.gif", saved(image, "GIF", save_all=True, append_images=[image.rotate(90)])
    yield "palette-with-transparency.png", saved(image.quantize(37), "PNG", transparency=3)
    yield "palette-of-47-bytes.png", png(47)
    yield "palette-of-48-bytes.png", png(48)
    yield "rgb.tiff", saved(image, "TIFF")
    yield "cut.png", saved(image, "PNG")[:900]
    yield "not-an-image.html", b"<html>gone</html>"
    yield "nothing.empty", b""


def everything():
    yield from files()
    yield from sizes()
    for name, content in others():
        yield kinds("-", "-", name.split(".")[1], name), content


def main():
    folder = Path(sys.argv[1])
    for number, (kind, content) in enumerate(everything()):
        (folder / str(number)).write_bytes(content)
        found = {"number": number, "kinds": kind}
        try:
            image = Image.open(io.BytesIO(content)).convert("RGB")
            (folder / f"{number}.rgb").write_bytes(image.tobytes())
            found["width"], found["height"] = image.size
        # What Pillow raises depends on where it finds the fault.
        except Exception as error:
            found["refused"] = str(error)
        print(json.dumps(found))


main()
