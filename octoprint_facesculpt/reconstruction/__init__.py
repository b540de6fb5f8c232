"""Portrait -> head: dense guides, guided volumetric network, signed-distance volume, iso-surface.

Nothing here is imported before it is used: torch alone takes seconds on a small host.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..progress import Progress, silent
from .errors import ReconstructionError

if TYPE_CHECKING:
    from ..portrait.portrait import Portrait
    from .head import Head


#: The networks that can be chosen; all but the first need a file of weights.
NETWORKS = ("facesculpt", "vrn2017")
#: Most photos of one person that are taken together.
MAX_PHOTOS = 8


def reconstruct(
    portrait: Portrait,
    *,
    weights: Path | None = None,
    network: str = NETWORKS[0],
    expression: float = 1.0,
    progress: Progress = silent,
) -> Head:
    """Reconstruct the head in a portrait with one of :data:`NETWORKS`.

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
    head = run(portrait, weights=weights, expression=expression, progress=progress)
    head.seconds["load"] += imported
    return head


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
    portraits: Sequence[Portrait], *, weights: Path | None = None, expression: float = 1.0, progress: Progress = silent
) -> Head:
    """One head out of several photos of a person, see :func:`octoprint_facesculpt.reconstruction.fusion.fuse`.

    The first photo gives place, projection, relief and the expression, of which as much is taken as ``expression`` says, 0..1.
    Raises :class:`ReconstructionError` as :func:`reconstruct` and ``fuse`` do.
    """
    check_count(len(portraits))
    check_choices(expression=expression)
    share = 0.95 / len(portraits)
    heads = []
    for number, portrait in enumerate(portraits):

        def step(fraction: float, message: str = "", done: float = share * number) -> None:
            progress(done + share * fraction, message)

        heads.append(reconstruct(portrait, weights=weights, progress=step))
    progress(0.95, "Bringing the photos together")
    # Not before: whatever is imported for the first of them counts as its loading.
    from .fusion import fuse
    from .relief import relief_of
    from .weights import PACKAGED, load

    fused = fuse(heads, load(weights or PACKAGED).head, expression)
    relief = relief_of(portraits[0], fused, bool(heads[0].details.get("covered")))
    progress(1.0, "Head reconstructed")
    return replace(fused, relief=relief)


def report(portrait: Portrait, head: Head, seconds: dict[str, float]) -> dict[str, Any]:
    """See :func:`octoprint_facesculpt.reconstruction.reporting.report`."""
    from .reporting import report as make

    return make(portrait, head, seconds)
