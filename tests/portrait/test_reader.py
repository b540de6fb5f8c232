"""Faces are found, chosen and judged on a real photo and on what can happen to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octoprint_facesculpt.errors import FaceSculptError
from octoprint_facesculpt.portrait import read_portrait, reader
from octoprint_facesculpt.portrait.errors import SeveralFaces
from octoprint_facesculpt.portrait.landmarker import LandmarkResult
from octoprint_facesculpt.portrait.portrait import FaceBox
from octoprint_facesculpt.portrait.quality import eye_distance, yaw_deg
from octoprint_facesculpt.portrait.reader import Found, beyond_doubt, find_faces, find_upright


@pytest.fixture
def photo(astronaut: Path) -> np.ndarray:
    return np.asarray(Image.open(astronaut))


def saved(folder: Path, image: np.ndarray) -> Path:
    path = folder / "photo.png"
    Image.fromarray(image).save(path)
    return path


def test_landmarks_lie_on_the_face(astronaut: Path, assets_folder: Path) -> None:
    portrait = read_portrait(astronaut, assets=assets_folder)
    assert len(portrait.faces) == 1
    assert portrait.landmarks.shape == (478, 3)
    # Outer corners of the eyes, tip of the nose and chin in this well-known picture, checked by eye.
    expected = {33: (196, 101), 263: (256, 104), 1: (223, 132), 152: (221, 179)}
    for index, place in expected.items():
        assert np.linalg.norm(portrait.landmarks[index, :2] - place) < 7
    assert portrait.presence > 0.9 and portrait.quality > 0.5


def test_a_turned_picture_gives_the_same_face(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    upright = read_portrait(saved(tmp_path, photo), assets=assets_folder)
    turned = Image.fromarray(photo).rotate(25, resample=Image.Resampling.BICUBIC)
    tilted = read_portrait(saved(tmp_path, np.asarray(turned)), assets=assets_folder)
    assert eye_distance(tilted.landmarks) == pytest.approx(eye_distance(upright.landmarks), rel=0.05)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_is_not_stored_upright_is_turned(
    photo: np.ndarray, assets_folder: Path, tmp_path: Path, turns: int
) -> None:
    """As scans are, and what was sent without its EXIF: a face is found in one that is upside down, too, but a wrong one."""
    upright = read_portrait(saved(tmp_path, photo), assets=assets_folder)
    portrait = read_portrait(saved(tmp_path, np.rot90(photo, -turns)), assets=assets_folder)
    np.testing.assert_array_equal(portrait.image, photo)
    np.testing.assert_allclose(portrait.landmarks, upright.landmarks, atol=0.01)
    assert portrait.decoded["turned_deg"] == 90 * turns
    assert [note.code for note in portrait.notes if note.code == "stored_turned"] == ["stored_turned"]
    assert upright.decoded["turned_deg"] == 0 and "stored_turned" not in {note.code for note in upright.notes}


def test_a_face_on_its_side_is_turned_however_certain_it_is(photo: np.ndarray, assets_folder: Path) -> None:
    """Who tilts the head in a photo that is stored on its side is found there as if it were upright."""
    one = Image.fromarray(photo[:330, 60:390]).rotate(20, Image.Resampling.BICUBIC)
    picture = np.full((700, 900, 3), 90, np.uint8)
    picture[200:456, 300:556] = np.asarray(one.resize((256, 256), Image.Resampling.BICUBIC))
    stored = np.ascontiguousarray(np.rot90(picture, 3))
    assert max(face.box.score for face in find_faces(stored, assets_folder)) > reader.UPRIGHT
    assert find_upright(stored, assets_folder)[0] == 1


def test_an_upright_face_is_not_looked_for_in_other_turns(photo: np.ndarray, assets_folder: Path, monkeypatch) -> None:
    looked: list[tuple[int, ...]] = []

    def counted(image: np.ndarray, assets: Path | None = None) -> tuple:
        looked.append(image.shape)
        return find_faces(image, assets)

    monkeypatch.setattr(reader, "find_faces", counted)
    assert find_upright(photo, assets_folder)[0] == 0 and len(looked) == 1


def test_a_small_face_in_a_large_picture_is_found(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    wide = np.full((1000, 1400, 3), 128, np.uint8)
    wide[480:992, 60:572] = photo
    portrait = read_portrait(saved(tmp_path, wide), assets=assets_folder)
    assert portrait.landmarks[1, 0] == pytest.approx(60 + 223, abs=8)


def test_everybody_in_a_large_group_is_found(photo: np.ndarray, assets_folder: Path) -> None:
    """Faces of 45 pixels in a picture of 2048; in the file of such a photo they have several times as many."""
    one = np.asarray(Image.fromarray(photo[:330, 60:390]).resize((160, 160), Image.Resampling.LANCZOS))
    group = np.full((1365, 2048, 3), 90, np.uint8)
    places = [(200 + 330 * column, 120 + 300 * row) for row in range(4) for column in range(5)]
    for left, top in places:
        group[top : top + 160, left : left + 160] = one
    found = find_faces(group, assets_folder)
    noses = np.array([face.result.landmarks[1, :2] for face in found])
    expected = np.array(places) + (np.array([223, 132]) - [60, 0]) * (160 / 330)
    assert len(found) == 20 and np.linalg.norm(noses[:, None] - expected, axis=2).min(0).max() < 5


def test_a_pattern_that_looks_a_little_like_a_face_is_none(photo: np.ndarray, assets_folder: Path) -> None:
    """In the many small windows of a large picture there is always one."""
    noise = np.random.default_rng(7).integers(20, 200, (60, 90, 3), np.uint8)
    picture = Image.fromarray(noise).resize((2048, 1365), Image.Resampling.BICUBIC)
    picture.paste(Image.fromarray(photo[:330, 60:390]).resize((160, 160), Image.Resampling.LANCZOS), (900, 600))
    (face,) = find_faces(np.asarray(picture), assets_folder)
    assert 900 < face.box.left < 1060


def test_a_face_printed_in_dots_is_found(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    """As newspapers are; the plain face is found in the same place."""
    plain = Image.fromarray(photo[:330, 60:390]).convert("L").resize((1650, 1650), Image.Resampling.LANCZOS)
    x, y = np.meshgrid(np.arange(1650), np.arange(1650))
    screen = 128 + 110 * np.sin((x + y) * np.pi / 3) * np.sin((x - y) * np.pi / 3)
    dots = np.where(np.asarray(plain) > screen, 235, 25).astype(np.uint8)
    found = [read_portrait(saved(tmp_path, picture), assets=assets_folder) for picture in (np.asarray(plain), dots)]
    away = np.linalg.norm(found[0].landmarks[:, :2] - found[1].landmarks[:, :2], axis=1).mean()
    assert away < 0.06 * eye_distance(found[0].landmarks) and found[1].presence > 0.9


@pytest.mark.parametrize(("kind", "blank"), [("gif", 1), ("tif", 4)])
def test_a_film_or_pages_that_begin_without_a_face_show_a_later_one(
    photo: np.ndarray, assets_folder: Path, tmp_path: Path, kind: str, blank: int
) -> None:
    first, *others = [Image.new("RGB", (512, 512), (40 * i, 90, 60)) for i in range(blank)]
    first.save(path := tmp_path / f"film.{kind}", save_all=True, append_images=[*others, Image.fromarray(photo)])
    portrait = read_portrait(path, assets=assets_folder)
    assert np.linalg.norm(portrait.landmarks[1, :2] - (223, 132)) < 7 and portrait.decoded["frame"] == blank
    assert "later_picture" in {note.code for note in portrait.notes}


def test_a_small_face_is_cut_out_of_the_page_it_is_on(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    wide = Image.new("RGB", (5400, 675), (128, 128, 128))
    wide.paste(Image.fromarray(photo), (2700, 20))
    Image.new("RGB", wide.size).save(path := tmp_path / "pages.tif", save_all=True, append_images=[wide])
    portrait = read_portrait(path, assets=assets_folder)
    height, width = portrait.image.shape[:2]
    assert max(height, width) < 700 and portrait.presence > 0.9
    assert portrait.image.std() > 40 and eye_distance(portrait.landmarks) > 50


def test_the_first_of_several_faces_in_a_film_is_taken(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    film = [Image.fromarray(np.roll(photo, 60 * i, 1)) for i in range(3)]
    film[0].save(path := tmp_path / "film.png", save_all=True, append_images=film[1:])
    portrait = read_portrait(path, assets=assets_folder)
    assert portrait.decoded["frame"] == 0 and "later_picture" not in {note.code for note in portrait.notes}
    np.testing.assert_array_equal(portrait.image, photo)


def test_only_the_first_few_pictures_of_a_film_are_looked_at(assets_folder: Path, tmp_path: Path, monkeypatch) -> None:
    looked = []
    monkeypatch.setattr(reader, "find_upright", lambda image, _: looked.append(int(image[0, 0, 0])) or (0, ()))
    film = [Image.new("RGB", (300, 300), (10 * i, 0, 0)) for i in range(20)]
    film[0].save(path := tmp_path / "film.png", save_all=True, append_images=film[1:])
    with pytest.raises(FaceSculptError, match="no_face"):
        read_portrait(path, assets=assets_folder)
    assert looked == [10 * i for i in range(reader.FRAMES)]


def test_two_equal_faces_ask_for_a_choice(photo: np.ndarray, assets_folder: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, np.hstack([photo[:300, 80:380], photo[:300, 80:380]]))
    with pytest.raises(SeveralFaces) as caught:
        read_portrait(path, assets=assets_folder)
    assert caught.value.code == "several_faces" and len(caught.value.faces) == 2
    left = min(range(2), key=lambda i: caught.value.faces[i].left)
    portrait = read_portrait(path, face=left, assets=assets_folder)
    assert portrait.landmarks[1, 0] < 300
    assert "several_faces" in {note.code for note in portrait.notes}


def test_a_doubtful_face_beside_a_certain_one_is_none_but_alone_it_is_taken() -> None:
    suit, person, friend = (
        Found(FaceBox(0, 0, size, size, 0.6, 0.0), LandmarkResult(np.zeros((478, 3), np.float32), presence))
        for size, presence in ((300, 0.93), (200, 0.999), (100, 0.994))
    )
    assert beyond_doubt([suit, person, friend]) == [person, friend]
    assert beyond_doubt([suit]) == [suit]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: np.full_like(image, 130), "no_face"),
        (lambda image: np.asarray(Image.fromarray(image).resize((130, 130))), "face_too_small"),
    ],
    ids=["no face", "tiny face"],
)
def test_unusable_pictures_say_why(photo, assets_folder, tmp_path, change, code) -> None:
    with pytest.raises(FaceSculptError) as caught:
        read_portrait(saved(tmp_path, change(photo)), assets=assets_folder)
    assert caught.value.code == code
    assert caught.value.hint


def test_an_impossible_choice_is_refused(astronaut: Path, assets_folder: Path) -> None:
    with pytest.raises(FaceSculptError, match="face_choice"):
        read_portrait(astronaut, face=3, assets=assets_folder)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda image: (image * 0.12).astype(np.uint8), "dark"),
        (lambda image: np.asarray(Image.fromarray(image).resize((90, 90)).resize((512, 512))), "blurred"),
        (lambda image: (image * 0.08 + 120).astype(np.uint8), "low_contrast"),
    ],
)
def test_quality_notes_name_what_is_wrong(photo, assets_folder, tmp_path, change, code) -> None:
    portrait = read_portrait(saved(tmp_path, change(photo)), assets=assets_folder)
    assert code in {note.code for note in portrait.notes}


@pytest.mark.parametrize(("share", "black"), [(0.12, 0), (0.08, 120)], ids=["dark", "faded"])
def test_a_face_with_little_contrast_is_only_blurred_if_it_is(
    photo: np.ndarray, assets_folder: Path, tmp_path: Path, share: float, black: int
) -> None:
    blurred = np.asarray(Image.fromarray(photo).resize((90, 90)).resize((512, 512)))
    for image, expected in ((photo, set()), (blurred, {"blurred"})):
        portrait = read_portrait(saved(tmp_path, (image * share + black).astype(np.uint8)), assets=assets_folder)
        assert {note.code for note in portrait.notes} & {"blurred", "low_contrast"} == {"low_contrast", *expected}


@pytest.mark.parametrize("turns", [0, 3], ids=["upright", "stored on its side"])
@pytest.mark.parametrize("side", [5400, 9000])
def test_a_small_face_in_a_large_photo_is_cut_out_with_all_its_pixels(
    photo: np.ndarray, assets_folder: Path, tmp_path: Path, side: int, turns: int
) -> None:
    """As in a school class: 9000 pixels wide it would have 13 from eye to eye, in the file it has 60."""
    alone = read_portrait(saved(tmp_path, photo), assets=assets_folder)
    wide = Image.new("RGB", (side, side // 8), (128, 128, 128))
    wide.paste(Image.fromarray(photo), (side // 2, 20))
    portrait = read_portrait(saved(tmp_path, np.rot90(np.asarray(wide), -turns)), assets=assets_folder)
    assert portrait.decoded["turned_deg"] == 90 * turns and portrait.size == (2048, 256)
    assert eye_distance(portrait.landmarks) == pytest.approx(eye_distance(alone.landmarks), rel=0.02)
    placed = portrait.landmarks[:, :2] @ portrait.place[:, :2].T + portrait.place[:, 2]
    np.testing.assert_allclose(placed * side / 2048, alone.landmarks[:, :2] + [side // 2, 20], atol=2.0)
    assert all(box.left > 1000 for box in portrait.faces)
    assert {note.code for note in portrait.notes} - {"stored_turned"} == {note.code for note in alone.notes}


def test_a_small_face_in_a_small_photo_stays_where_it_is(astronaut: Path, assets_folder: Path) -> None:
    portrait = read_portrait(astronaut, assets=assets_folder)
    assert portrait.image.shape == (512, 512, 3) and portrait.size == (512, 512)
    np.testing.assert_array_equal(portrait.place, np.eye(2, 3))


@pytest.mark.parametrize(("eyes", "severity"), [(40, "warning"), (50, "info"), (75, "info"), (85, None)])
def test_how_small_a_face_may_be_is_told(
    photo: np.ndarray, assets_folder: Path, tmp_path: Path, eyes: int, severity: str | None
) -> None:
    """From eye to eye this one has 60 pixels."""
    size = round(512 * eyes / 60.3)
    portrait = read_portrait(saved(tmp_path, np.asarray(Image.fromarray(photo).resize((size, size)))), assets=assets_folder)
    assert eye_distance(portrait.landmarks) == pytest.approx(eyes, abs=2.5)
    assert [note.severity for note in portrait.notes if note.code == "low_resolution"] == ([severity] if severity else [])


def test_where_no_face_is_found_in_a_large_photo_it_should_be_cut_out(assets_folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (5400, 675), (128, 128, 128)).save(path := tmp_path / "photo.png")
    with pytest.raises(FaceSculptError) as caught:
        read_portrait(path, assets=assets_folder)
    assert (caught.value.code, caught.value.hint) == ("no_face", "Crop the picture to the person you mean.")


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize("size", [(5000, 2), (2, 5000), (40000, 3)])
def test_a_line_is_no_face(assets_folder: Path, tmp_path: Path, size: tuple[int, int], kind: str) -> None:
    Image.new("RGB", size).save(path := tmp_path / f"line.{kind}")
    with pytest.raises(FaceSculptError, match="no_face"):
        read_portrait(path, assets=assets_folder)


def test_yaw_is_read_from_depth() -> None:
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[33], landmarks[263] = (0, 0, 0), (50, 0, 50)
    assert yaw_deg(landmarks) == pytest.approx(45)


def test_missing_model_files_are_named(astronaut: Path, tmp_path: Path) -> None:
    with pytest.raises(FaceSculptError, match="asset_missing"):
        read_portrait(astronaut, assets=tmp_path)
