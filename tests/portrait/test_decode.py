"""Every kind of picture file becomes the same upright RGB picture; everything else a clear refusal."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from octoprint_facesculpt.portrait.decode import Part, PortraitLimits, decode, decode_part
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


@pytest.mark.parametrize("mode", ["P", "1", "with transparency"])
def test_a_large_picture_with_a_palette_is_reduced_like_any_other(tmp_path: Path, mode: str) -> None:
    """Strip by strip: in true colours all of it would take four times its memory."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (61, 83, 3), np.uint8))
    smooth = noise.resize((860, 621), Image.Resampling.BICUBIC)
    stored = smooth.convert("1") if mode == "1" else smooth.quantize(64, dither=Image.Dither.NONE)
    stored.save(path := tmp_path / "photo.png", **({"transparency": 3} if mode == "with transparency" else {}))
    image, _ = decode(path, PortraitLimits(working_px=100))
    whole = Image.open(path).convert("RGBA")
    over = Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    expected = over.resize((100, 72), Image.Resampling.LANCZOS)
    assert image.shape == (72, 100, 3) and np.abs(image - np.asarray(expected).astype(int)).mean() < 3
    assert np.asarray(expected).std() > 30


@pytest.mark.parametrize("kind", ["I;16", "F"])
def test_a_large_scan_of_sixteen_bits_is_reduced_like_one_of_eight(tmp_path: Path, kind: str) -> None:
    """Not by leaving pixels out: the grain of an old print would stay, and its dots become a pattern."""
    grain = np.random.default_rng(2).integers(0, 255, (600, 900), np.uint8)
    deep = grain.astype(np.uint16) * 257 if kind == "I;16" else grain.astype(np.float32) * 257
    Image.fromarray(deep).save(path := tmp_path / "scan.tif")
    image, _ = decode(path, PortraitLimits(working_px=150))
    Image.fromarray(grain).save(eight := tmp_path / "eight.tif")
    expected = decode(eight, PortraitLimits(working_px=150))[0].astype(int)
    assert expected.std() < 20 and np.abs(image - expected).max() <= 2
    part, _ = decode_part(path, Part(0, 0, 0.5, 0.5), 0, 2048)
    np.testing.assert_allclose(part[..., 0], grain[:300, :450], atol=1)


ORIENTED = [(orientation, turns) for orientation in range(1, 9) for turns in (0, 1)] + [(6, 2), (5, 3)]


@pytest.mark.parametrize(("orientation", "turns"), ORIENTED)
def test_a_part_is_that_of_the_upright_picture(tmp_path: Path, orientation: int, turns: int) -> None:
    """Whichever way the file is stored, and the picture turned then."""
    rng = np.random.default_rng(1)
    stored = Image.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8)).resize((400, 300), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path := tmp_path / "photo.png", exif=exif)
    upright = np.rot90(decode(path)[0], turns)
    height, width = upright.shape[:2]
    image, part = decode_part(path, Part(0.21, 0.4, 0.7, 0.83), turns, 2048)
    left, top, right, bottom = (round(edge * side) for edge, side in zip(vars(part).values(), (width, height) * 2, strict=True))
    assert part.left <= 0.21 and part.top <= 0.4 and part.right >= 0.7 and part.bottom >= 0.83
    np.testing.assert_array_equal(image, upright[top:bottom, left:right])
    assert right - left < 0.49 * width + 2 and bottom - top < 0.43 * height + 2


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_part_has_as_many_pixels_as_are_asked_for_and_can_be_had(tmp_path: Path, kind: str) -> None:
    gradient = np.linspace(0, 255, 3200).astype(np.uint8)
    picture = np.stack([np.broadcast_to(gradient, (1600, 3200)), np.broadcast_to(gradient[:1600, None], (1600, 3200))] * 2, 2)
    Image.fromarray(picture[..., :3]).save(path := tmp_path / f"photo.{kind}", quality=95)
    asked = Part(0.5, 0.25, 0.75, 0.75)
    full, _ = decode_part(path, asked, 0, 2048)
    small, part = decode_part(path, asked, 0, 100)
    assert full.shape == (800, 800, 3) and small.shape == (100, 100, 3)
    assert small[0, 0, 0] == pytest.approx(255 * part.left, abs=3) and small[-1, -1, 0] == pytest.approx(
        255 * part.right, abs=3
    )
    bounded, _ = decode_part(path, asked, 0, 2048, PortraitLimits(part_pixels=400_000))
    assert bounded.shape == ((200, 200, 3) if kind == "jpg" else full.shape)


def test_a_part_of_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "photo.jpg").write_bytes(b"gone")
    with pytest.raises(PortraitError, match="unsupported_format"):
        decode_part(path, Part(0, 0, 1, 1), 0, 100)


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


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_pictures_in_a_file_one_can_be_chosen(tmp_path: Path, suffix: str) -> None:
    colours = [(0, 0, 0), (250, 0, 0), (0, 0, 250)]
    first, *others = (Image.new("RGB", (60, 40), colour) for colour in colours)
    path = tmp_path / f"film.{suffix}"
    first.save(path, save_all=True, append_images=others)
    for number, colour in enumerate(colours):
        whole = decode(path, frame=number)[0]
        part, _ = decode_part(path, Part(0.2, 0.2, 0.8, 0.8), 0, 30, frame=number)
        assert np.abs(whole.astype(int) - colour).max() < 40 and np.abs(part.astype(int) - colour).max() < 40
    with pytest.raises(PortraitError, match="unreadable_image"):
        decode(path, frame=3)


def test_each_page_is_judged_by_its_own_size(tmp_path: Path) -> None:
    Image.new("L", (10, 10)).save(path := tmp_path / "pages.tif", save_all=True, append_images=[Image.new("L", (500, 500))])
    decode(path, PortraitLimits(pixels=10_000))
    with pytest.raises(PortraitError, match="image_too_large"):
        decode(path, PortraitLimits(pixels=10_000), frame=1)
