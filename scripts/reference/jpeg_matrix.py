"""JPEGs of every kind, sound and damaged: colour model x sampling x scans x what was done to the bytes.

`files()` yields `(kinds, bytes)`, where kinds is a dict of the four words that name the file. The scans are made by libjpeg-turbo's
`cjpeg` and `jpegtran`; lossless files by the few lines of an encoder below.
"""

import io
import subprocess
import tempfile

import numpy
from PIL import Image

WIDTH, HEIGHT = 75, 53
SAMPLINGS = {"4:4:4": "1x1", "4:2:2": "2x1", "4:2:0": "2x2", "4:4:0": "1x2", "4:1:1": "4x1", "3:1:0": "3x2"}


def picture(width=WIDTH, height=HEIGHT, seed=0):
    """Smooth waves, some noise and a sharp edge, as uint8 [height, width, 3]."""
    y, x = numpy.mgrid[0:height, 0:width].astype(numpy.float64)
    waves = [numpy.sin(x / (5 + 7 * c + seed) + y / (11 - 2 * c)) for c in range(3)]
    values = 127 + 90 * numpy.stack(waves, axis=2)
    values += numpy.random.default_rng(seed).normal(0, 12, values.shape)
    values[:, width // 2 :] = 255 - values[:, width // 2 :]
    return values.clip(0, 255).astype(numpy.uint8)


def run(program, arguments, data):
    return subprocess.run([program, *arguments], input=data, stdout=subprocess.PIPE, check=True).stdout


def ppm():
    return b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + picture().tobytes()


def bases():
    """(colour, sampling, number of components, a JPEG of one baseline scan)."""
    quality = ["-quality", "85"]
    yield "grey", "-", 1, run("cjpeg", [*quality, "-grayscale"], ppm())
    for name, factors in SAMPLINGS.items():
        yield "YCbCr", name, 3, run("cjpeg", [*quality, "-sample", f"{factors},1x1,1x1"], ppm())
    yield "RGB", "4:4:4", 3, run("cjpeg", [*quality, "-rgb"], ppm())
    four = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(four, "JPEG", quality=85)
    cmyk = four.getvalue()
    yield "CMYK", "-", 4, cmyk
    adobe = cmyk.index(b"Adobe")
    yield "YCCK", "-", 4, cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :]


def scans(jpeg, num_components):
    """(scans, JPEG) of the same coefficients."""
    yield "one baseline scan", jpeg
    yield "restart markers", run("jpegtran", ["-copy", "all", "-restart", "1"], jpeg)
    yield "progressive", run("jpegtran", ["-copy", "all", "-progressive"], jpeg)
    yield "arithmetic", run("jpegtran", ["-copy", "all", "-arithmetic"], jpeg)
    yield "arithmetic progressive", run("jpegtran", ["-copy", "all", "-arithmetic", "-progressive"], jpeg)
    if num_components > 1:
        order = list(range(num_components))
        yield "a scan a component", scripted(jpeg, order)
        yield "scans in another order", scripted(jpeg, [1, 0, *order[2:]])


def scripted(jpeg, order):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("".join(f"{component};\n" for component in order))
        file.flush()
        return run("jpegtran", ["-copy", "all", "-scans", file.name], jpeg)


def segments(jpeg):
    """(marker, start, end) of the segments before the first scan's data; the last is the start of scan."""
    at = 2
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield marker, at, at + 2 + length
        at += 2 + length
        if marker == 0xDA:
            return


def without(jpeg, wanted):
    for marker, start, end in reversed(list(segments(jpeg))):
        if marker == wanted:
            jpeg = jpeg[:start] + jpeg[end:]
    return jpeg


def patched(jpeg, at, value):
    return jpeg[:at] + bytes([value]) + jpeg[at + 1 :]


def frame(jpeg):
    return next(start for marker, start, _ in segments(jpeg) if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC))


def changes(jpeg, kind):
    """(change, bytes)"""
    *_, (_, _, data) = segments(jpeg)
    middle = (data + len(jpeg)) // 2
    yield "none", jpeg
    yield "bytes after the end", jpeg + b"trailing bytes" * 9
    yield "bytes between segments", jpeg[:20] + b"junk" + jpeg[20:]
    yield "fill bytes before a marker", jpeg[:2] + b"\xff\xff\xff" + jpeg[2:]
    yield "no end marker", jpeg[:-2]
    yield "no end marker, then a trailer", jpeg[:-2] + bytes(range(1, 200))
    yield "no end marker, then another JPEG", jpeg[:-2] + jpeg
    yield "last 8 bytes lost", jpeg[:-8]
    yield "cut in the middle", jpeg[:middle]
    yield "cut in the middle, end marker put back", jpeg[:middle] + b"\xff\xd9"
    yield "cut in the header", jpeg[: data - 3]
    yield "a byte of the data flipped", patched(jpeg, middle, jpeg[middle] ^ 0x55)
    yield "16 bytes of the data lost", jpeg[:middle] + jpeg[middle + 16 :]
    yield "a marker in the data", jpeg[:middle] + b"\xff\xc3" + jpeg[middle:]
    yield "Exif that is no Exif", jpeg[:2] + b"\xff\xe1\0\x10Exif\0\0garbage!" + jpeg[2:]
    yield "height of zero", jpeg[: frame(jpeg) + 5] + b"\0\0" + jpeg[frame(jpeg) + 7 :]
    yield "12 bits a sample", patched(jpeg, frame(jpeg) + 4, 12)
    yield "another number of components", patched(jpeg, frame(jpeg) + 9, jpeg[frame(jpeg) + 9] + 1)
    if kind in ("one baseline scan", "restart markers"):
        height = HEIGHT.to_bytes(2, "big")
        yield "DNL after the scan", jpeg[:-2] + b"\xff\xdc\0\4" + height + b"\xff\xd9"
        yield "no Huffman tables (MJPEG)", without(jpeg, 0xC4)
    yield "no quantisation tables", without(jpeg, 0xDB)
    if kind == "restart markers":
        lost = next(at for at in range(middle, len(jpeg)) if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= 0xD7)
        yield "a restart marker lost", jpeg[:lost] + jpeg[lost + 2 :]
        yield "a restart marker of another number", patched(jpeg, lost + 1, 0xD0 + (jpeg[lost + 1] + 3) % 8)


def lossless(values, ids):
    """A lossless JPEG (SOF3, predictor 1) of uint8 [height, width, components]."""
    height, width, num_components = values.shape
    # Differences have 0 to 8 bits; each class has a code of 4 bits.
    table = b"\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
    bits = []
    signed = values.astype(int)
    for y in range(height):
        for x in range(width):
            for c in range(num_components):
                before = signed[y, x - 1, c] if x else signed[y - 1, 0, c] if y else 128
                difference = signed[y, x, c] - before
                size = abs(int(difference)).bit_length()
                bits.append(f"{size:04b}")
                if size:
                    bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    bits = "".join(bits)
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    header = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([num_components])
    header += b"".join(bytes([i, 0x11, 0]) for i in ids)
    scan = bytes([num_components]) + b"".join(bytes([i, 0]) for i in ids) + b"\1\0\0"

    def segment(marker, body):
        return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body

    return b"\xff\xd8" + segment(0xC3, header) + segment(0xC4, table) + segment(0xDA, scan) + data + b"\xff\xd9"


def kinds(colour, sampling, scan, change):
    return {"colour": colour, "sampling": sampling, "scans": scan, "change": change}


def files():
    for colour, sampling, num_components, base in bases():
        for scan, jpeg in scans(base, num_components):
            for change, content in changes(jpeg, scan):
                yield kinds(colour, sampling, scan, change), content
    for colour, jpeg in {
        "grey": lossless(picture()[:, :, :1], b"\1"),
        "RGB": lossless(picture(), b"RGB"),
        "YCbCr": lossless(picture(), b"\1\2\3"),
    }.items():
        for change, content in changes(jpeg, "lossless"):
            yield kinds(colour, "-", "lossless", change), content
