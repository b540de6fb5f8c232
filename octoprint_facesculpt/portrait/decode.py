"""Photo files to upright RGB pictures, whatever camera, scanner or prankster wrote them."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from .errors import PortraitError

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "PPM")
#: The tag of the orientation, and what undoes each but the first.
ORIENTATION = 0x0112
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
#: What turns a picture by quarters, counter-clockwise, and what undoes that.
QUARTER_TURNS = ((), (Image.Transpose.ROTATE_90,), (Image.Transpose.ROTATE_180,), (Image.Transpose.ROTATE_270,))
UNDONE = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}
#: The JPEG decoder can leave out pixels by itself: all but one in so many a side.
JPEG_SCALES = (1, 2, 4, 8)
#: Rows that are worked on at a time where all at once would take four times their memory.
STRIP = 64
#: Pillow's readers answer broken files with any of these.
BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class PortraitLimits:
    """Bounds on what is decoded: file bytes, pixels of the file, the longer side the picture is worked on with, and the pixels
    to which a JPEG is decoded for a part of it (a photo of 100 megapixels would need 400 MB)."""

    file_bytes: int = 64 * 1024 * 1024
    pixels: int = 120_000_000
    working_px: int = 2048
    part_pixels: int = 50_000_000


@dataclass(frozen=True)
class Part:
    """A part of an upright picture: its edges as shares of the picture's width and height, 0..1."""

    left: float
    top: float
    right: float
    bottom: float


def decode(path: Path, limits: PortraitLimits | None = None, frame: int = 0) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a picture: (H, W, 3) uint8 sRGB, upright by its EXIF orientation, and how it was decoded.

    Grey, palette, CMYK, 16-bit and transparent pictures are accepted (transparency over white). ``frame`` is the number of the
    picture in a file of several: a film, or a scanner's pages. The header is judged before any pixel is decoded.

    Raises
    ------
    PortraitError
        ``unreadable_image``, also where there is no such frame; ``unsupported_format``, ``image_too_large``.
    """
    limits = limits or PortraitLimits()
    with _opened(path, limits, frame) as image:
        width, height = image.size
        decoded: dict[str, Any] = {"format": image.format, "mode": image.mode, "width": width, "height": height}
        orientation = decoded["orientation"] = _orientation(image)
        if max(image.size) > 2 * limits.working_px:
            _draft(image, max(image.size) // limits.working_px)
        image.load()
        rgb = _turned(_to_srgb(_reduced(_eight_bits(image), limits.working_px)), TURNS.get(orientation, ()))
        decoded["scale"] = max(rgb.size) / max(width, height)
        return np.asarray(rgb), decoded


def decode_part(
    path: Path, part: Part, turns: int, longest: int, limits: PortraitLimits | None = None, frame: int = 0
) -> tuple[np.ndarray, Part]:
    """Read a part of a picture with more of its pixels than :func:`decode` gives.

    Parameters
    ----------
    path : path of a picture file
    part : of the picture after it was brought upright by its EXIF orientation and then
    turns : by so many quarter turns counter-clockwise
    longest : pixels the longer side of the part has at most
    frame : the number of the picture in a file of several

    Returns
    -------
    (h, w, 3) uint8 sRGB, and which part it is to the pixel.

    Raises
    ------
    PortraitError
        As :func:`decode`.
    """
    limits = limits or PortraitLimits()
    with _opened(path, limits, frame) as image:
        upright = [*TURNS.get(_orientation(image), ()), *QUARTER_TURNS[turns % 4]]
        where = _stored(part, upright)
        width, height = image.size
        more = max((where.right - where.left) * width, (where.bottom - where.top) * height) / longest
        least = min(scale for scale in JPEG_SCALES if width * height <= scale**2 * limits.part_pixels)
        _draft(image, max(more, least))
        image.load()
        width, height = image.size
        left, top = int(where.left * width), int(where.top * height)
        right, bottom = math.ceil(where.right * width), math.ceil(where.bottom * height)
        cut = _eight_bits(image).crop((left, top, right, bottom))
        rgb = _turned(_to_srgb(_reduced(cut, longest)), upright)
        undone = [UNDONE.get(turn, turn) for turn in reversed(upright)]
        return np.asarray(rgb), _stored(Part(left / width, top / height, right / width, bottom / height), undone)


@contextmanager
def _opened(path: Path, limits: PortraitLimits, frame: int = 0) -> Iterator[Image.Image]:
    """A picture in a file, its header judged; whatever goes wrong with it becomes a :class:`PortraitError`."""
    _register_heif()
    if not path.is_file():
        raise PortraitError("unreadable_image", f"There is no file {path.name}.", "Choose a photo.")
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise _too_large(f"The file has {size / 2**20:.0f} MiB")
    try:
        with warnings.catch_warnings():
            # Our own limit follows; Pillow's warning about it would only litter the log.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
                _judge(image, limits)
                if frame:
                    # The pages of one file have their own sizes.
                    image.seek(frame)
                    _judge(image, limits)
                yield image
    except UnidentifiedImageError as error:
        raise PortraitError(
            "unsupported_format",
            "This is not a picture, or of a kind that is not supported.",
            "Use a JPEG, PNG, HEIC, WebP or TIFF file.",
        ) from error
    except Image.DecompressionBombError as error:
        raise _too_large("The picture has far too many pixels") from error
    except PortraitError:
        raise
    except BROKEN as error:
        raise PortraitError(
            "unreadable_image",
            "The picture is damaged and cannot be read.",
            "Open it in a picture editor and save it again.",
        ) from error


def _judge(image: Image.Image, limits: PortraitLimits) -> None:
    if image.size[0] * image.size[1] > limits.pixels:
        raise _too_large(f"The picture has {image.size[0] * image.size[1] / 1e6:.0f} megapixels")


def _draft(image: Image.Image, times: float) -> None:
    """Let the JPEG decoder itself make the picture up to ``times`` smaller: a scan of 100 megapixels then needs a sixteenth of
    the memory."""
    scale = max(scale for scale in JPEG_SCALES if scale <= max(times, 1))
    if image.format in ("JPEG", "MPO") and scale > 1:
        size = max(1, image.size[0] // scale), max(1, image.size[1] // scale)
        image.draft("RGB" if image.mode == "YCbCr" else image.mode, size)


def _turned(image: Image.Image, transpositions: Sequence[Image.Transpose]) -> Image.Image:
    for transposition in transpositions:
        image = image.transpose(transposition)
    return image


def _stored(part: Part, transpositions: Sequence[Image.Transpose]) -> Part:
    """Where a part of the picture after ``transpositions`` lies in the picture before them."""
    # A picture of four pixels, each with its own place: where they come to lie says what became of both axes.
    places = [
        _turned(Image.fromarray(np.array(axis, np.uint8)), transpositions) for axis in (((0, 1), (0, 1)), ((0, 0), (1, 1)))
    ]
    x, y = (np.asarray(place).astype(float) for place in places)
    ends = [
        [axis[0, 0] + across * (axis[0, 1] - axis[0, 0]) + down * (axis[1, 0] - axis[0, 0]) for axis in (x, y)]
        for across, down in ((part.left, part.top), (part.right, part.bottom))
    ]
    return Part(*np.min(ends, 0).tolist(), *np.max(ends, 0).tolist())


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 where there is none that makes sense. The picture is good whatever is odd about its tags."""
    try:
        given = int(image.getexif().get(ORIENTATION, 1))
    except BROKEN:
        return 1
    return given if given in TURNS else 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits a channel, as scanners make them, in 8, strip by strip."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    largest = float(np.nan_to_num(values.max()))
    top = 65535.0 if largest > 255 else max(largest, 1.0)
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), STRIP):
        rows = slice(start, start + STRIP)
        scaled[rows] = 255 * np.clip(np.nan_to_num(values[rows].astype(np.float32)) / top, 0, 1)
    eight = Image.fromarray(scaled)
    eight.info = image.info
    return eight


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    """The picture with at most ``longest`` pixels on its longer side."""
    ratio = longest / max(image.size)
    if ratio >= 1:
        return image
    width, height = image.size
    size, times = [max(1, round(side * ratio)) for side in image.size], 1
    if image.mode in ("P", "1"):
        times = max(1, int(0.5 / ratio))
        image = _coloured(image, times)
    reduced = image.resize(size, Image.Resampling.LANCZOS, box=(0, 0, width / times, height / times))
    reduced.info = image.info
    return reduced


def _coloured(image: Image.Image, times: int) -> Image.Image:
    """A picture of palette entries in true colours and ``times`` smaller: these take four times the memory, so strip by
    strip."""
    mode = "RGBA" if "transparency" in image.info else "RGB"
    width, height = image.size
    whole = Image.new(mode, (-(-width // times), -(-height // times)))
    for top in range(0, height, STRIP * times):
        strip = image.crop((0, top, width, min(top + STRIP * times, height)))
        whole.paste(strip.convert(mode).reduce(times), (0, top // times))
    whole.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return whole


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layered).convert("RGB")
    return _with_profile(image) or image.convert("RGB")


def _with_profile(image: Image.Image) -> Image.Image | None:
    """The picture converted by its own colour profile, or None when it has none that works."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _register_heif() -> None:
    import pillow_heif

    Image.init()
    pillow_heif.register_heif_opener()


def _too_large(what: str) -> PortraitError:
    return PortraitError("image_too_large", f"{what}.", "Save a smaller copy of the picture and use that.")
