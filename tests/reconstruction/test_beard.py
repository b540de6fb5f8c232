"""A beard is found where the photo shows one for certain, and only there, and stands out of the head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from octoprint_facesculpt.reconstruction.beard import _grown as grown
from octoprint_facesculpt.reconstruction.beard import beard_of
from octoprint_facesculpt.reconstruction.beard_mask import JAWLINE, UPPER, UPPER_LIP, is_white
from octoprint_facesculpt.reconstruction.face_map import LIPS
from octoprint_facesculpt.reconstruction.frontal import Frontal
from octoprint_facesculpt.reconstruction.head import Beard, Head
from octoprint_facesculpt.reconstruction.shown import with_what_is_shown
from octoprint_facesculpt.reconstruction.unrolled import SHAPE, Unrolled

#: MediaPipe's landmarks of a chin, of cheeks above the jaw, between nose and lip, on the lips, and on the nose and the cheeks.
CHIN, JAW, BELOW_NOSE = (199, 175, 208, 428), (170, 395), (167, 393)
ON_LIPS, BARE = (11, 12, 15, 16, 72, 302, 85, 315), (4, 50, 280, 205)


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    from octoprint_facesculpt.portrait import read_portrait

    return read_portrait(astronaut, assets=assets_folder)


@pytest.fixture(scope="module")
def skull(head) -> np.ndarray:
    unrolled = Unrolled(np.array([0.0, head.landmarks[[234, 454], 2].mean() - 12]))
    return unrolled.outermost(head.vertices, head.triangles)


@pytest.fixture(scope="module")
def bearded(portrait, head) -> Head:
    """The astronaut with a dark full beard."""
    return with_what_is_shown(painted(portrait, full(portrait)), head, covered=False)


def filled(portrait, *outlines: list[np.ndarray]) -> np.ndarray:
    """What some outlines of pixels enclose, (H, W) bool."""
    mask = np.zeros(portrait.image.shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.rint(np.asarray(outline) * 16).astype(np.int32)], 1, shift=4)
    return mask > 0


def full(portrait) -> np.ndarray:
    """Where a full beard is: lips stay free, and it ends a little below the chin."""
    seen = portrait.landmarks[:, :2]
    below = seen[list(JAWLINE[2:-2])] + (0, 4)
    around = filled(portrait, [*seen[list(UPPER[3:-3])], *below[::-1]])
    return around & ~filled(portrait, seen[list(LIPS)])


def painted(portrait, where: np.ndarray, colour=(52, 38, 30), share: float = 1.0):
    """The portrait with hair of a colour, or a ``share`` of it, where a mask says so."""
    hair = np.random.default_rng(1).normal(1, 0.35, (*where.shape, 1))
    hair = np.float32(colour) * cv2.GaussianBlur(hair, (0, 0), sigmaX=0.6, sigmaY=1.2)[..., None].clip(0.3, 2)
    mix = share * cv2.GaussianBlur(where.astype(np.float32), (0, 0), 0.8)[..., None]
    return replace(portrait, image=np.clip(portrait.image * (1 - mix) + mix * hair, 0, 255).astype(np.uint8))


def shaded(portrait, where: np.ndarray, left: float, soft: float = 2.0):
    """The portrait with a shadow that leaves a share of the light."""
    light = 1 - (1 - left) * cv2.GaussianBlur(where.astype(np.float32), (0, 0), soft)[..., None]
    return replace(portrait, image=(portrait.image * light).astype(np.uint8))


def raised(beard: Beard, head: Head, skull: np.ndarray, landmarks: tuple[int, ...]) -> np.ndarray:
    """By how many mm a beard is outside the bald head at some landmarks; less than 0 where it is within, or not at all."""
    columns, rows, _ = Unrolled(beard.axis).places(head.landmarks[list(landmarks)]).astype(int).T
    reach = np.zeros(SHAPE)
    row, column = beard.begin
    reach[row : row + beard.reach.shape[0], column : column + beard.reach.shape[1]] = beard.reach
    return (reach - skull)[rows, columns]


def test_a_beard_stands_out_and_leaves_lips_and_nose_free(bearded, head, skull) -> None:
    assert bearded.beard is not None
    for part in (CHIN, JAW):
        thick = raised(bearded.beard, head, skull, part)
        assert thick.min() > 1.5 and thick.max() < 9
    assert raised(bearded.beard, head, skull, BELOW_NOSE).min() > 0.5
    assert raised(bearded.beard, head, skull, ON_LIPS).max() < 0
    assert raised(bearded.beard, head, skull, BARE).max() < 0


def test_a_beard_changes_nothing_of_the_head(bearded, head) -> None:
    np.testing.assert_array_equal(bearded.vertices, head.vertices)
    np.testing.assert_array_equal(bearded.triangles, head.triangles)


def test_an_astronaut_without_a_beard_gets_none(portrait, head) -> None:
    assert head.beard is None and beard_of(portrait, head) is None


def test_a_grey_photo_shows_a_beard_too(portrait, head, skull) -> None:
    bearded = painted(portrait, full(portrait))
    grey = cv2.cvtColor(cv2.cvtColor(bearded.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    beard = beard_of(replace(portrait, image=grey), head)
    assert beard is not None and raised(beard, head, skull, CHIN).min() > 1.5


def test_a_moustache_makes_no_beard_on_the_chin(portrait, head, skull) -> None:
    seen = portrait.landmarks[:, :2]
    lip = filled(portrait, *(seen[list(half)] for half in UPPER_LIP)) & ~filled(portrait, seen[list(LIPS)])
    beard = beard_of(painted(portrait, lip), head)
    assert beard is not None
    assert raised(beard, head, skull, BELOW_NOSE).min() > 0.5
    assert raised(beard, head, skull, CHIN).max() < 0 and raised(beard, head, skull, JAW).max() < 0


def test_stubble_is_no_beard(portrait, head) -> None:
    assert beard_of(painted(portrait, full(portrait), share=0.25), head) is None


def shadows(portrait):
    """What is dark or bright on faces that have no beard."""
    seen = portrait.landmarks[:, :2]
    rows, columns = np.indices(portrait.image.shape[:2])
    jaw = np.interp(np.arange(portrait.image.shape[1]), *seen[list(JAWLINE)].T)
    yield "below the chin", shaded(portrait, rows > jaw, 0.35)
    yield "on the chin's lower half", shaded(portrait, rows > jaw - 8, 0.4)
    yield "of a hand below the lips", shaded(portrait, filled(portrait, seen[[57, 18, 287, 365, 152, 136]]), 0.3)
    yield "of the nose", shaded(portrait, filled(portrait, seen[[98, 2, 327, 267, 0, 37]]), 0.4)
    yield "on one side", shaded(portrait, columns > seen[4, 0], 0.3, 6.0)
    yield "of the whole lower face", shaded(portrait, rows > seen[2, 1] + 1, 0.5)
    yield "dark lips", painted(portrait, filled(portrait, seen[list(LIPS)]), (60, 5, 25))
    chin = np.hypot(rows - seen[199, 1], columns - seen[199, 0]) < 14
    yield "light on the chin", painted(portrait, chin, (250, 248, 246))
    yield "a cup's edge before the chin", painted(portrait, filled(portrait, seen[[58, 208, 428, 288, 152]]), (20, 20, 25))


@pytest.mark.parametrize("number", range(9))
def test_shadows_lips_and_lights_are_no_beard(portrait, head, number) -> None:
    name, picture = list(shadows(portrait))[number]
    assert beard_of(picture, head) is None, name


def test_white_hair_is_told_from_fair_and_from_dark_hair() -> None:
    skin = np.full((100, 3), (200, 150, 125), np.uint8)
    told = [is_white(np.full((100, 3), hair, np.uint8), skin) for hair in ((235, 232, 228), (225, 180, 120), (60, 50, 45))]
    assert told == [True, False, False]
    assert not is_white(np.zeros((0, 3), np.uint8), skin)


def test_a_white_beard_needs_white_hair(portrait, head, monkeypatch: pytest.MonkeyPatch) -> None:
    from octoprint_facesculpt.reconstruction import beard

    white = painted(portrait, full(portrait), (245, 243, 240))
    white = replace(white, image=np.where(full(portrait)[..., None], np.maximum(white.image, 215), white.image))
    assert beard_of(white, head) is None
    monkeypatch.setattr(beard, "is_white", lambda hair, skin: True)
    assert beard_of(white, head) is not None


def test_a_long_white_beard_hangs_below_the_chin_and_a_dark_one_ends_there(
    portrait, head, skull, monkeypatch: pytest.MonkeyPatch
) -> None:
    from octoprint_facesculpt.reconstruction import beard

    monkeypatch.setattr(beard, "is_white", lambda hair, skin: True)
    chin = portrait.landmarks[152, :2]
    rows, columns = np.indices(portrait.image.shape[:2])
    hanging = (np.abs(columns - chin[0]) < 26) & (rows > chin[1] - 8) & (rows < chin[1] + 40 * head.pixels_per_mm())
    column, row, _ = Unrolled(np.array([0.0, head.landmarks[[234, 454], 2].mean() - 12])).places(head.landmarks[[152]])[0]
    below = int(row) + 18
    for colour, hangs in (((245, 243, 240), True), ((52, 38, 30), False)):
        picture = painted(portrait, full(portrait) | hanging, colour)
        if hangs:
            bright = np.where((full(portrait) | hanging)[..., None], np.maximum(picture.image, 215), picture.image)
            picture = replace(picture, image=bright)
        found = beard_of(picture, head)
        reach = np.zeros(SHAPE)
        reach[tuple(slice(b, b + n) for b, n in zip(found.begin, found.reach.shape, strict=True))] = found.reach
        stands_out = reach[below, int(column)] - skull[below, int(column)]
        assert stands_out > 15 if hangs else stands_out < 2


def test_without_the_model_of_the_person_there_is_no_white_beard_but_a_dark_one(
    portrait, head, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESCULPT_ASSETS", str(tmp_path))
    white = painted(portrait, full(portrait), (245, 243, 240))
    white = replace(white, image=np.where(full(portrait)[..., None], np.maximum(white.image, 215), white.image))
    assert beard_of(white, head) is None
    assert beard_of(painted(portrait, full(portrait)), head) is not None


def test_what_covers_a_mouth_is_no_beard(portrait, head) -> None:
    picture = painted(portrait, full(portrait))
    assert with_what_is_shown(picture, head, covered=True).beard is None


def test_a_bust_has_the_beard_where_hair_is_wanted(bearded) -> None:
    from octoprint_facesculpt.sculpture import SculptureSettings, sculpt

    settings = SculptureSettings(height_mm=40, max_triangles=40_000)
    whole, shaved = (sculpt(one, settings) for one in (bearded, replace(bearded, beard=None)))
    assert whole.checks["manifold"]
    more = whole.checks["volume_mm3"] - shaved.checks["volume_mm3"]
    assert 0.001 < more / shaved.checks["volume_mm3"] < 0.05
    bald, bare = (sculpt(one, replace(settings, hair=False)) for one in (bearded, replace(bearded, beard=None, hair=None)))
    np.testing.assert_array_equal(bald.vertices, bare.vertices)


def test_poses_are_compared_with_the_beard(bearded) -> None:
    from octoprint_facesculpt.sculpture import SculptureSettings
    from octoprint_facesculpt.sculpture.orientation import _coarse as coarse
    from octoprint_facesculpt.sculpture.shaping import solid_of

    def volume(head: Head) -> float:
        one = coarse(head, SculptureSettings())
        return solid_of(one.vertices.astype(np.float64), one.triangles).volume()

    assert volume(bearded) - volume(replace(bearded, beard=None)) > 10_000


def test_a_head_keeps_its_beard_in_its_file(bearded, tmp_path: Path) -> None:
    bearded.save(tmp_path / "head.npz")
    loaded = Head.load(tmp_path / "head.npz").beard
    for part in ("reach", "root", "begin", "axis"):
        np.testing.assert_array_equal(getattr(loaded, part), getattr(bearded.beard, part))
    replace(bearded, beard=None).save(tmp_path / "shaved.npz")
    assert Head.load(tmp_path / "shaved.npz").beard is None


@pytest.mark.parametrize("wrong", ({"begin": np.array([0, SHAPE[1] - 3])}, {"begin": np.array([-1, 0])}, {"axis": np.zeros(3)}))
def test_a_beard_beside_its_map_is_no_head(bearded, wrong, tmp_path: Path) -> None:
    replace(bearded, beard=replace(bearded.beard, **wrong)).save(tmp_path / "head.npz")
    with pytest.raises(ValueError, match="beard"):
        Head.load(tmp_path / "head.npz")


def test_a_part_of_the_map_makes_a_closed_mesh_that_is_right_way_out() -> None:
    import trimesh

    unrolled = Unrolled(np.array([1.0, -90.0]))
    outer = 80 + np.random.default_rng(3).uniform(0, 5, (20, 30))
    mesh = trimesh.Trimesh(*unrolled.mesh(outer, np.full((20, 30), 60.0), (100, 150)), process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0
    places = unrolled.places(mesh.vertices[: outer.size])
    columns, rows = np.meshgrid(np.arange(150, 180) + 0.5, np.arange(100, 120) + 0.5)
    np.testing.assert_allclose(places, np.c_[columns.ravel(), rows.ravel(), outer.ravel()], atol=1e-6)


def test_a_beard_is_as_thick_below_an_edge_as_on_it() -> None:
    skull = np.full((40, 40), 50.0, np.float32)
    skull[:20] = 90.0
    height = np.zeros_like(skull)
    height[10:20] = 4.0
    reach = grown(skull, height)
    assert reach[15, 20] == 94
    # Below the chin: 3 mm further down it still reaches beyond the edge, 5 mm further no more.
    assert reach[22, 20] > 90 and reach[25, 20] == 50


def test_what_the_photo_shows_is_where_the_landmarks_are(portrait, head) -> None:
    """Of a face that has another expression now, too."""
    moved = head.landmarks.copy()
    moved[moved[:, 1] < moved[2, 1]] += np.float32([0, 6, 0])
    face = Frontal.of(portrait, replace(head, landmarks=moved))
    for one in (17, 199, 4):
        column, row = face.places[one].astype(int)
        assert np.linalg.norm(face.pixels[row, column] - portrait.landmarks[one, :2]) < 2.5 * head.pixels_per_mm()
