"""What an image file holds, as 8-bit RGB; what can't be taken so is refused by its name.

Wide images (10 to 16 bits a pixel in grey) are scaled by the depth that the file declares; transparent
parts are shown on white, as browsers do; a palette, CMYK, YCbCr, grey and black-and-white are converted.
Colour profiles are not applied. Of several frames or pages the first one is the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageOps

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000")
_EXTENSIONS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".apng": "PNG",
    ".webp": "WEBP", ".gif": "GIF", ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".avif": "AVIF", ".jp2": "JPEG2000",
}  # fmt: skip

_WIDE = ("I;16", "I;16L", "I;16B", "I;16N")
_ALPHA = ("LA", "PA", "RGBA", "RGBa")
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT, _ORIENTATION = 258, 262, 339, 274
"""Tags of TIFF; the last is EXIF's too."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What shows an image upright, by EXIF's orientation."""

_FOREIGN = {
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF",
    b"%!PS": "PostScript",
    b"<svg": "an SVG drawing",
    b"<?xm": "XML",
    b"<!do": "a web page",
    b"<!DO": "a web page",
    b"<htm": "a web page",
    b"\x00\x00\x01\x00": "a Windows icon",
    b"SIMP": "a FITS image",
    b"\x93NUM": "a NumPy array",
    b"version https://git-lfs": "a pointer of Git LFS, whose file was not fetched",
}


MOST_BYTES = 1 << 30
"""That decoding one image may take: 134 million pixels of RGB; of a JPEG that is read smaller, more."""


class UnreadableImageError(Exception):
    """A file that is no whole image; the message says why."""


class UnsupportedImageError(UnreadableImageError):
    """A whole image of a kind that can't be taken as 8-bit RGB without a guess."""


def formats() -> list[str]:
    """Pillow's names of the formats that are read here: those of photographs, and no programs (EPS)."""
    if not all(name in Image.OPEN for name in _FORMATS):
        Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def extensions() -> tuple[str, ...]:
    """How the names of image files end, in lower case; of folders and shards alike."""
    if ".avif" not in Image.EXTENSION or ".jp2" not in Image.EXTENSION:
        Image.init()  # the formats that this Pillow was built with
    return tuple(end for end, kind in _EXTENSIONS.items() if end in Image.EXTENSION or kind == "PNG")


def check_kind(image: Any) -> None:
    """Raise `UnsupportedImageError` for a kind that has no 8-bit form without a guess; decodes nothing."""
    mode = image.mode
    if mode == "F":
        raise UnsupportedImageError(
            f"a {image.format} of floats (mode F), whose range it doesn't state: save it with 8 or 16 bits"
        )
    if mode == "I" and image.format not in ("PNG", "PPM"):  # of these a 16-bit image, widened by Pillow
        tags = getattr(image, "tag_v2", {})
        bits, signed = tags.get(_BITS, (32,))[0], tags.get(_SAMPLE_FORMAT, (1,))[0] == 2
        raise UnsupportedImageError(
            f"a {image.format} of {bits}-bit {'signed ' if signed else ''}integers, whose range it doesn't "
            "state: save it with 8 or 16 bits"
        )
    if mode == "LAB":
        raise UnsupportedImageError(f"a {image.format} in the colours of CIE Lab: save it as RGB")


def check_memory(image: Any) -> None:
    """Raise `UnsupportedImageError` where decoding would take more than `MOST_BYTES`; decodes nothing.

    A JPEG's `draft` comes before it. Counted are Pillow's decoded image (4 bytes a pixel, of grey and
    palettes 1) and what `to_rgb` makes of it.
    """
    width, height = image.size
    if image.mode in _WIDE or image.mode == "I":
        each = 16
    elif image.mode in _ALPHA or "transparency" in image.info:
        each = 20
    else:
        each = 24 if image.format == "JPEG2000" else 8  # its decoder keeps 4 bytes for each colour
    need = width * height * each
    if image.info.get("progressive"):  # all coefficients of the whole image, 2 bytes each
        shrunk = (getattr(image, "decoderconfig", ()) or (1,))[0]
        need += width * height * shrunk**2 * 2 * len(image.getbands())
    if need > MOST_BYTES:
        raise UnsupportedImageError(
            f"{width} x {height} pixels, which take {need / 2**30:.1f} GiB to decode: expected at most "
            f"{MOST_BYTES / 2**30:.0f} GiB"
        )


def to_rgb(image: Any) -> Image.Image:
    """A decoded image as 8-bit RGB; raises `UnsupportedImageError`."""
    check_kind(image)
    if image.mode in _WIDE or image.mode == "I":
        return _from_wide(image)
    if image.mode in _ALPHA or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    converted: Image.Image = image.convert("RGB")
    return converted


def _from_wide(image: Any) -> Image.Image:
    tags = getattr(image, "tag_v2", {})
    bits = min(16, tags.get(_BITS, (16,))[0])
    top = (1 << bits) - 1
    values = np.asarray(image).astype(np.int32)
    np.clip(values, 0, top, out=values)
    values *= 255
    values += top // 2
    values //= top
    grey = Image.fromarray(values.astype(np.uint8))
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero; of 8 bits Pillow knows
        grey = ImageOps.invert(grey)
    return grey.convert("RGB")


def orientation(image: Any) -> Image.Transpose | None:
    """What shows the image upright, by its EXIF (or XMP) data; None: nothing, or the data are broken."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # EXIF is written by all kinds of devices, and Pillow trips over it in all kinds
        return None


def what_is_it(head: bytes) -> str:
    """A word on a file that Pillow doesn't open, from its first bytes."""
    if not head:
        return "an empty file"
    if head[4:8] == b"ftyp":
        return f"an image or film of the kind {head[8:12].decode('latin-1').strip()!r} (HEIC is not read)"
    if head[:2] == b"\xff\xd8":
        bits = _jpeg_bits(head)
        return f"a JPEG of {bits} bits" if bits not in (None, 8) else "a JPEG with a damaged head"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "a TIFF of a kind that Pillow doesn't read, or with a damaged head"
    for start, name in _FOREIGN.items():
        if head.startswith(start):
            return name
    return f"no image of a format that is read ({', '.join(formats())}), or with a damaged head"


def _jpeg_bits(head: bytes) -> int | None:
    """Bits of a sample, from the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 5 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return head[at + 4]
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
