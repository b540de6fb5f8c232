"""Does a recognition network see the person of the photo in the sculpture, and do carved detail and hair help it?

    python extras/benchmark/likeness.py FOLDER [--detail 0 1 1.5]

``FOLDER`` has a folder of photos for each person. Of every photo a head is made and carved with each amount of detail, without
hair and with it, and the plugin's recognition network looks at its clay picture from the front, as at the photos. What all
photos have in common is taken off, and what all clay pictures of one kind have in common; then pictures are compared by cosine.
Told are how near a sculpture is to its own photo in the mean, and how often it is nearer to its own photo, or to another photo
of the same person, than to one of somebody else (area under the curve). Last, how far the outline of the heads, from the ears
up, is that of the people in their photos (intersection over union, the mean and the worst tenth).
"""

from __future__ import annotations

import argparse
import sys
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
    options = parser.parse_args()
    kinds = [(detail, hair) for hair in (False, True) for detail in options.detail]
    people, photos, sculptures, outlines = [], [], [], []
    for path in sorted(path for path in options.folder.glob("*/*") if path.suffix.lower() in SUFFIXES):
        try:
            portrait = read_portrait(path, face=0)
            head = reconstruct(portrait)
            seen = [seen_in(clay_of(head, detail, hair)) for detail, hair in kinds]
        except PortraitError as error:
            print(f"{path.parent.name}/{path.name} is left out: {error}", file=sys.stderr)
            continue
        people.append(path.parent.name)
        photos.append(features(portrait))
        sculptures.append(seen)
        outlines.append(alike_outlines(portrait, head))
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
    for name, alike in zip(("bald", "with hair"), np.transpose(outlines), strict=True):
        print(f"outline {name}: {alike.mean():.3f}, worst tenth {np.quantile(alike, 0.1):.3f}")


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
