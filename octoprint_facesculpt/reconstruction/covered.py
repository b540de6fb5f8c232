"""Whether something covers the mouth: a hand, a microphone.

The landmark network draws a mouth behind a hand, and is sure of it. The closer look is not: it says of every landmark how far
it may be off, and what is covered is further off than the rest of the same face, however sharp or small the photo is.

Sunglasses and masks are not told so: eyes that are squeezed shut, and a blurred photo, are as doubtful.
"""

from __future__ import annotations

import numpy as np

#: MediaPipe's landmarks of mouth and chin, and of the face without the irises.
MOUTH = (61, 291, 0, 17, 13, 14, 37, 267, 84, 314, 40, 270, 91, 321)
CHIN = (152, 148, 377, 176, 400, 199, 200, 175)
FACE = 468
#: By how much more doubtful than their face both together are when something covers them. Of 76 photos of real people those
#: that show both came out at 0.70 at most (a long beard), one with a hand before the mouth at 0.97; of 16 with a hand or a
#: microphone drawn upon them 12 at 0.76 and more.
COVERED = 0.75


def mouth_covered(doubt: np.ndarray) -> bool:
    """Whether something certainly covers mouth and chin, by how doubtful the landmarks of a face are ((478,), see
    :class:`.closeup.Closer`)."""
    usual = doubt[:FACE].mean()
    return bool(sum(doubt[list(part)].mean() - usual for part in (MOUTH, CHIN)) > COVERED)
