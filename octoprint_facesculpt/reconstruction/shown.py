"""What a photo shows of somebody beyond the shape of the head: fine detail, hair and a beard."""

from __future__ import annotations

import time
from dataclasses import replace

from ..assets import AssetError
from ..portrait.portrait import Portrait
from ..progress import Progress, silent
from .beard import beard_of
from .hair import hair_of
from .head import Head
from .relief import relief_of

#: In a head's details: what hair was not looked for without.
HAIR_MISSING = "hair_missing"


def with_what_is_shown(portrait: Portrait, head: Head, covered: bool, progress: Progress = silent) -> Head:
    """The head that was made of a portrait, whose mouth may be ``covered``, with its relief, its hair and its beard.

    Without the model that finds the person in the photo the head stays bald, which its details tell.
    """
    begin = time.perf_counter()
    progress(0.0, "Reading the face's detail")
    relief = relief_of(portrait, head, covered)
    read = time.perf_counter()
    progress(0.3, "Looking at the hair")
    try:
        hair, missing = hair_of(portrait, head), ""
    except AssetError as error:
        hair, missing = None, error.message
    # What covers a mouth is no beard.
    beard = None if covered else beard_of(portrait, head)
    seconds = {**head.seconds, "relief": read - begin, "hair": time.perf_counter() - read}
    details = {**head.details, HAIR_MISSING: missing} if missing else head.details
    return replace(head, relief=relief, hair=hair, beard=beard, seconds=seconds, details=details)
