"""Every kind of picture file becomes the same upright RGB picture; everything else a clear refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from octoprint_facesculpt.portrait.decode import PortraitLimits, decode
from octoprint_facesculpt.portrait.errors import PortraitError


def picture() -> np.ndarray:
    """A picture (48, 64, 3) in which up, left and the colours can be told apart."""
    image = np.full((48, 64, 3), 200, np.uint8)
    image[:16] = (250, 30, 30)
    image[:, :16] = (30, 30, 250)
    return image


def corner_colours(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return image[30, 5].astype(int), image[5, 50].astype(int)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "gif"])
def test_common_formats_keep_size_and_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture()).save(path)
    image, decoded = decode(path)
    blue, red = corner_colours(image)
    assert image.shape == (48, 64, 3) and decoded["width"] == 64
    assert blue[2] > 180 > 90 > blue[0] and red[0] > 180 > 90 > red[2]


def test_heic_of_a_phone(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.fromarray(picture())).save(path, quality=95)
    image, decoded = decode(path)
    assert decoded["format"] == "HEIF"
    assert corner_colours(image)[0][2] > 180


@pytest.mark.parametrize(
    ("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)], ids=["upright", "upside down", "right", "left"]
)
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, turns: int) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    # The camera lay on its side: the stored picture is turned the other way.
    Image.fromarray(np.rot90(picture(), -turns)).save(path, exif=exif, quality=98)
    image, decoded = decode(path)
    assert decoded["orientation"] == orientation
    assert image.shape == (48, 64, 3)
    assert corner_colours(image)[0][2] > 180


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "I;16", "1"])
def test_unusual_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(picture()).convert("L")
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode in ("RGBA", "LA"):
        stored = Image.fromarray(picture()).convert(mode)
    else:
        stored = Image.fromarray(picture()).convert(mode)
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    stored.save(path)
    image, _ = decode(path)
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8
    assert image[20:, 20:].mean() > image[:12, 20:].mean() + 20


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(path)
    assert decode(path)[0].min() == 255


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (5000, 2500), (90, 120, 150)).save(path)
    image, decoded = decode(path)
    assert image.shape[1] == 2048
    assert decoded["scale"] == pytest.approx(2048 / 5000)


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "unsupported_format"), (b"not a picture at all", "unsupported_format"), (b"<svg/>", "unsupported_format")],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PortraitError) as caught:
        decode(path)
    assert caught.value.code == code


def test_truncated_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PortraitError, match="unreadable_image"):
        decode(path)


def test_pixel_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("1", (20_000, 20_000)).save(path)
    with pytest.raises(PortraitError, match="image_too_large"):
        decode(path)


def test_file_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(picture()).save(path)
    with pytest.raises(PortraitError, match="image_too_large"):
        decode(path, PortraitLimits(file_bytes=10))
