"""Does a recognition network see the person of the photo in the sculpture, and do carved detail and hair help it?

    python extras/benchmark/likeness.py FOLDER [--detail 0 1 1.5] [--dlib MODELS]

``FOLDER`` has a folder of photos for each person. Of every photo a head is made and carved with each amount of detail, without
hair and with it, and the plugin's recognition network looks at its clay picture from the front, as at the photos. What all
photos have in common is taken off, and what all clay pictures of one kind have in common; then pictures are compared by cosine.
Told are how near a sculpture is to its own photo in the mean, and how often it is nearer to its own photo, or to another photo
of the same person, than to one of somebody else (area under the curve). Last, how far the outline of the heads, from the ears
up, is that of the people in their photos (intersection over union, the mean and the worst tenth).

The plugin's network was trained on from dlib's, with renders. ``--dlib`` asks dlib's as it was, which saw none (packages
``dlib-bin`` and ``face_recognition_models``, in whose folder ``models`` its files are), by the distance of its descriptors,
where 0.6 is the usual limit between photos of one person and of two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from identity import SUFFIXES, area_under_curve
from PIL import Image

from octoprint_facesculpt.portrait.errors import PortraitError
from octoprint_facesculpt.portrait.matte import INPUT
from octoprint_facesculpt.portrait.portrait import Portrait
from octoprint_facesculpt.portrait.reader import read_portrait
from octoprint_facesculpt.rasterise import rasterise
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.hair_mask import BESIDE, CHEEKS, MM, View
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.reconstruction.weights import PACKAGED, load
from octoprint_facesculpt.sculpture import SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.preview import clay

SIDE = 900
#: How far below the landmarks before the ears outlines are compared, mm.
EARS_MM = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detail", type=float, nargs="+", default=[0.0, 1.0, 1.5])
    parser.add_argument("--dlib", type=Path, help="Folder with the files of dlib's models.")
    options = parser.parse_args()
    descriptor = descriptors(options.dlib) if options.dlib else None
    kinds = [(detail, hair) for hair in (False, True) for detail in options.detail]
    people, photos, sculptures, outlines, described = [], [], [], [], []
    for path in sorted(path for path in options.folder.glob("*/*") if path.suffix.lower() in SUFFIXES):
        try:
            portrait = read_portrait(path, face=0)
            head = reconstruct(portrait)
            pictures = [clay_of(head, detail, hair) for detail, hair in kinds]
            seen = [seen_in(picture) for picture in pictures]
        except PortraitError as error:
            print(f"{path.parent.name}/{path.name} is left out: {error}", file=sys.stderr)
            continue
        people.append(path.parent.name)
        photos.append(features(portrait))
        sculptures.append(seen)
        outlines.append(alike_outlines(portrait, head))
        if descriptor is not None:
            described.append([descriptor(picture) for picture in (portrait.image, *pictures)])
    person = np.array(people)
    faces, clays = unlike_all(np.array(photos)), np.array(sculptures)
    print(f"{len(person)} photos of {len(set(people))} people")
    print(f"{'detail':>6}{'hair':>6}{'cosine to own photo':>22}{'own photo, AUC':>17}{'other photos, AUC':>20}")
    for number, (detail, hair) in enumerate(kinds):
        away = 1 - unlike_all(clays[:, number]) @ faces.T
        same = person[:, None] == person
        own = np.eye(len(person), dtype=bool)
        told = [area_under_curve(away[which], away[~same]) for which in (own, same & ~own)]
        row = f"{detail:>6g}{'yes' if hair else 'no':>6}{1 - np.diag(away).mean():>22.3f}"
        print(f"{row}{told[0]:>17.3f}{told[1]:>20.3f}")
    if described:
        tell_distances(kinds, person, described)
    for name, alike in zip(("bald", "with hair"), np.transpose(outlines), strict=True):
        print(f"outline {name}: {alike.mean():.3f}, worst tenth {np.quantile(alike, 0.1):.3f}")


def tell_distances(kinds: list[tuple[float, bool]], person: np.ndarray, described: list[list[np.ndarray | None]]) -> None:
    """Print how far sculptures are from their own photo, and how often they are nearer to it than to others' photos, of those
    ``described`` (photo, then each kind of sculpture) in all of which a face was found."""
    found = [number for number, row in enumerate(described) if all(one is not None for one in row)]
    person, table = person[found], np.array([described[number] for number in found])
    other = person[:, None] != person
    print(f"dlib, {len(found)} photos\n{'detail':>6}{'hair':>6}{'distance to own photo':>24}{'own photo, AUC':>17}")
    for number, (detail, hair) in enumerate(kinds, 1):
        away = np.linalg.norm(table[:, None, number] - table[None, :, 0], axis=2)
        own = np.diag(away)
        print(f"{detail:>6g}{'yes' if hair else 'no':>6}{own.mean():>24.3f}{area_under_curve(own, away[other]):>17.3f}")


def descriptors(folder: Path) -> Callable[[np.ndarray], np.ndarray | None]:
    """dlib's descriptor (128,) of the largest face in a picture (H, W, 3), None when it finds none."""
    import dlib

    finder = dlib.get_frontal_face_detector()
    points = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def look(picture: np.ndarray) -> np.ndarray | None:
        faces = finder(picture, 1)
        if not len(faces):
            return None
        largest = max(faces, key=lambda box: box.area())
        return np.array(network.compute_face_descriptor(picture, points(picture, largest), 3))

    return look


def clay_of(head: Head, detail: float, hair: bool) -> np.ndarray:
    """The clay picture (SIDE, SIDE, 3) of a head from the front."""
    sculpture = sculpt(head, SculptureSettings(style="head", detail=detail, hair=hair))
    return clay(sculpture.vertices, sculpture.triangles, size=SIDE)


def alike_outlines(portrait: Portrait, head: Head) -> tuple[float, float]:
    """How far the outline from the ears up is that of the person in the photo: of the bald head, and with hair."""
    view = View.of(portrait, head)
    above = (view.rows < view.landmarks[list(CHEEKS), 1].mean() + EARS_MM / MM) & view.known & (view.beside < BESIDE)
    whole = view.bald
    if head.hair is not None:
        vertices, triangles = head.hair.mesh()
        seen = np.c_[view.pixels(head, vertices), vertices @ head.towards_camera()]
        whole = whole | (rasterise(seen, triangles, INPUT, INPUT).triangle >= 0)
    person = view.person & above
    bald, haired = (float((one & person).sum() / ((one & above) | person).sum()) for one in (view.bald, whole))
    return bald, haired


def seen_in(picture: np.ndarray) -> np.ndarray:
    """What the recognition network sees in a picture; :class:`PortraitError` when there is no face in it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "clay.png")
        Image.fromarray(picture).save(path)
        return features(read_portrait(path, face=0))


def features(portrait: Portrait) -> np.ndarray:
    """What the recognition network sees in a portrait (F,)."""
    return load(PACKAGED).observer.recogniser.look(portrait.image, portrait.landmarks).mean(0)


def unlike_all(seen: np.ndarray) -> np.ndarray:
    """Features (N, F) without what is common to all of them, of length 1."""
    apart = seen - seen.mean(0)
    return apart / np.linalg.norm(apart, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
