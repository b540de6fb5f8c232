"""Portrait -> head: dense guides, guided volumetric network, signed-distance volume, iso-surface.

The way of a photo through these modules:

- Where the head is: :mod:`alignment` (its square picture), :mod:`camera`, :mod:`resampling`.
- Which head it is: :mod:`look` has the first guess (:mod:`correspondence`), corrects it by what lies under its points
  (:mod:`descent`, :mod:`gradients`), and asks who it is (:mod:`recognition`). :mod:`fitting` makes a head of the statistics
  in :mod:`head_model` of that, :mod:`plausible` says which there are, and :mod:`closeup` looks once more.
- Its volume: :mod:`guides` draw that head from its camera, :mod:`network` corrects its distances (:mod:`volume`), and
  :mod:`surface` finds where they are zero. :mod:`predictor` goes all this way, with the :mod:`weights`; :mod:`vrn2017`
  takes the paper's network instead (:mod:`vrn2017_network`). :mod:`fusion` makes one head of several photos.
- What the photo shows beyond that (:mod:`shown`): something before the mouth (:mod:`covered`); fine detail (:mod:`relief`
  on a :mod:`face_map`, :mod:`teeth`); :mod:`hair` on a map :mod:`around` the head, found by :mod:`hair_mask`, with the
  :mod:`strands` that its :mod:`grain` shows; a :mod:`beard`, found by :mod:`beard_mask` in what is :mod:`frontal`, on an
  :mod:`unrolled` map.
- What is handed on: :mod:`head` and its report (:mod:`reporting`), to the commands (:mod:`command`), or one of the
  :mod:`errors`.

Nothing here is imported before it is used: torch alone takes seconds on a small host.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress, silent
from .errors import ReconstructionError

if TYPE_CHECKING:
    from ..portrait.portrait import Portrait
    from .head import Head


#: The networks that can be chosen; all but the first need a file of weights.
NETWORKS = ("facesculpt", "vrn2017")
#: How much of the work is the head itself; the rest is its relief, hair and beard.
SHAPED = 0.85
#: Most photos of one person that are taken together.
MAX_PHOTOS = 8


def reconstruct(
    portrait: Portrait,
    *,
    weights: Path | None = None,
    network: str = NETWORKS[0],
    expression: float = 1.0,
    detailed: bool = True,
    progress: Progress = silent,
) -> Head:
    """Reconstruct the head in a portrait with one of :data:`NETWORKS`; ``detailed`` with the photo's relief, hair and beard,
    which change nothing of the head itself.

    See :func:`octoprint_facesculpt.reconstruction.predictor.reconstruct` and
    :func:`octoprint_facesculpt.reconstruction.vrn2017.reconstruct`, which knows nothing of expressions. Raises
    :class:`ReconstructionError` ``network_unknown``, ``weights_missing``, ``weights_invalid``, ``expression_impossible``,
    ``no_surface``.
    """
    check_choices(network, expression, weights)
    if network == "vrn2017":
        assert weights is not None
        from .vrn2017 import reconstruct as run_vrn

        return run_vrn(portrait, weights, progress)
    start = time.perf_counter()
    from .predictor import reconstruct as run

    imported = time.perf_counter() - start
    share = SHAPED if detailed else 1.0
    head = run(portrait, weights=weights, expression=expression, progress=_part(progress, 0.0, share))
    head.seconds["load"] += imported
    return _detailed(portrait, head, head.details["covered"], _part(progress, share, 1.0)) if detailed else head


def check_choices(network: str = NETWORKS[0], expression: float = 1.0, weights: Path | None = None) -> None:
    """Refuse a network, a share of the expression or missing weights before anything is computed: :class:`ReconstructionError`
    ``network_unknown``, ``expression_impossible``, ``weights_missing``."""
    if network not in NETWORKS:
        raise ReconstructionError("network_unknown", f"There is no network {network}.", f"Choose {' or '.join(NETWORKS)}.")
    if not 0 <= expression <= 1:
        raise ReconstructionError(
            "expression_impossible",
            f"{expression:g} times the photo's expression is not possible.",
            "Choose between 0 (none) and 1 (all of it).",
        )
    if expression != 1 and network != NETWORKS[0]:
        raise ReconstructionError(
            "expression_impossible", f"The network {network} cannot change the expression.", "Leave it as it is."
        )
    if weights is None and network != NETWORKS[0]:
        raise ReconstructionError(
            "weights_missing",
            f"The network {network} needs its authors' weights, which are not shipped.",
            "Give the file that extras/training/convert_vrn.py made.",
        )


def check_count(photos: int) -> None:
    """:class:`ReconstructionError` ``fusion_impossible`` unless so many photos can be taken together."""
    if not 2 <= photos <= MAX_PHOTOS:
        raise ReconstructionError("fusion_impossible", f"Two to {MAX_PHOTOS} photos can be taken together.", "Choose others.")


def reconstruct_together(
    portraits: Sequence[Portrait],
    *,
    weights: Path | None = None,
    expression: float = 1.0,
    detailed: bool = True,
    progress: Progress = silent,
) -> Head:
    """One head out of several photos of a person, see :func:`octoprint_facesculpt.reconstruction.fusion.fuse`.

    The first photo gives place, projection, relief, hair, beard and the expression, of which as much is taken as ``expression``
    says, 0..1. Raises :class:`ReconstructionError` as :func:`reconstruct` and ``fuse`` do.
    """
    check_count(len(portraits))
    check_choices(expression=expression)
    share = SHAPED / len(portraits)
    heads = []
    for number, portrait in enumerate(portraits):
        part = _part(progress, share * number, share * (number + 1))
        heads.append(reconstruct(portrait, weights=weights, detailed=False, progress=part))
    progress(SHAPED, "Bringing the photos together")
    # Not before: whatever is imported for the first of them counts as its loading.
    from .fusion import fuse
    from .weights import PACKAGED, load

    fused = fuse(heads, load(weights or PACKAGED).head, expression)
    if not detailed:
        return fused
    return _detailed(portraits[0], fused, heads[0].details["covered"], _part(progress, SHAPED, 1.0))


def _detailed(portrait: Portrait, head: Head, covered: bool, progress: Progress) -> Head:
    from .shown import with_what_is_shown

    detailed = with_what_is_shown(portrait, head, covered, progress)
    progress(1.0, "Head reconstructed")
    return detailed


def _part(progress: Progress, begin: float, end: float) -> Progress:
    """A progress that fills the part of another from ``begin`` to ``end``."""
    return lambda fraction, message="": progress(begin + (end - begin) * fraction, message)


def report(portrait: Portrait, head: Head, seconds: dict[str, float]) -> dict[str, Any]:
    """See :func:`octoprint_facesculpt.reconstruction.reporting.report`."""
    from .reporting import report as make

    return make(portrait, head, seconds)
