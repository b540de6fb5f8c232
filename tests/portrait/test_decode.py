"""Every kind of picture file becomes the same upright RGB picture; everything else a clear refusal."""

from __future__ import annotations

import struct
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


def with_tags(folder: Path, *tags: tuple[int, int, bytes]) -> Path:
    """A picture with EXIF tags (number, type, four bytes of value) as they stand, whatever they say."""
    rows = b"".join(
        struct.pack("<HHI", number, kind, 4 if kind in (2, 7) else 1) + value for number, kind, value in sorted(tags)
    )
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(tags)) + rows + bytes(4)
    Image.fromarray(picture()).save(path := folder / "photo.jpg", exif=exif, quality=98)
    return path


def hex_of(tag: tuple[int, int, bytes]) -> str:
    return f"{tag[0]:#06x} of type {tag[1]}"


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


@pytest.mark.parametrize(
    "tag", [(0x0128, 2, b"in\0\0"), (0x011A, 2, b"72\0\0"), (0x0103, 2, b"x\0\0\0"), (0xA002, 7, b"\1\2\3\4")], ids=hex_of
)
def test_odd_tags_beside_the_orientation_do_no_harm(tmp_path: Path, tag: tuple[int, int, bytes]) -> None:
    """What a tag says, and of what kind it is, is up to whoever wrote the file."""
    image, decoded = decode(with_tags(tmp_path, (0x0112, 3, b"\6\0\0\0"), tag))
    assert decoded["orientation"] == 6 and image.shape == (64, 48, 3)


@pytest.mark.parametrize("tag", [(0x0112, 7, b"\6\0\0\0"), (0x0112, 2, b"up\0\0"), (0x0112, 3, b"\x63\0\0\0")], ids=hex_of)
def test_an_orientation_that_makes_no_sense_counts_as_none(tmp_path: Path, tag: tuple[int, int, bytes]) -> None:
    image, decoded = decode(with_tags(tmp_path, tag))
    assert decoded["orientation"] == 1 and image.shape == (48, 64, 3)


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
