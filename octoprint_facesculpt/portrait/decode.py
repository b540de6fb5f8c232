"""Photo files to upright RGB pictures, whatever camera, scanner or prankster wrote them."""

from __future__ import annotations

import struct
import warnings
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
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Pillow's readers answer broken files with any of these.
BROKEN = (
    ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class PortraitLimits:
    """Bounds on what is decoded: file bytes, pixels of the file, and the longer side the picture is worked on with."""

    file_bytes: int = 64 * 1024 * 1024
    pixels: int = 120_000_000
    working_px: int = 2048


def decode(path: Path, limits: PortraitLimits | None = None) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a picture: (H, W, 3) uint8 sRGB, upright by its EXIF orientation, and how it was decoded.

    Grey, palette, CMYK, 16-bit and transparent pictures are accepted (transparency over white); of several frames the
    first is taken. The header is judged before any pixel is decoded.

    Raises
    ------
    PortraitError
        ``unreadable_image``, ``unsupported_format``, ``image_too_large``.
    """
    limits = limits or PortraitLimits()
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
                return _decode_open(image, limits)
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


def _decode_open(image: Image.Image, limits: PortraitLimits) -> tuple[np.ndarray, dict[str, Any]]:
    width, height = image.size
    if width * height > limits.pixels:
        raise _too_large(f"The picture has {width * height / 1e6:.0f} megapixels")
    decoded: dict[str, Any] = {"format": image.format, "mode": image.mode, "width": width, "height": height}
    orientation = decoded["orientation"] = _orientation(image)
    longer = max(width, height)
    if image.format in ("JPEG", "MPO") and longer > 2 * limits.working_px:
        # The JPEG decoder itself can halve: a 100-megapixel scan then needs a sixteenth of the memory.
        image.draft("RGB" if image.mode == "YCbCr" else image.mode, (limits.working_px, limits.working_px))
    image.load()
    if max(image.size) > limits.working_px:
        image = _reduce(image, limits.working_px)
    rgb = _to_srgb(image.transpose(TURNS[orientation]) if orientation in TURNS else image)
    decoded["scale"] = max(rgb.size) / longer
    return np.asarray(rgb), decoded


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 where there is none that makes sense. The picture is good whatever is odd about its tags."""
    try:
        given = int(image.getexif().get(ORIENTATION, 1))
    except BROKEN:
        return 1
    return given if given in TURNS else 1


def _reduce(image: Image.Image, longest: int) -> Image.Image:
    ratio = longest / max(image.size)
    size = [max(1, round(side * ratio)) for side in image.size]
    if image.mode in ("P", "1"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode.startswith(("I", "F")):
        return image.resize(size, Image.Resampling.NEAREST)
    reduced = image.resize(size, Image.Resampling.LANCZOS)
    reduced.info = image.info
    return reduced


def _to_srgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float32)
        top = 65535.0 if values.max() > 255 else max(float(values.max()), 1.0)
        return Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
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
