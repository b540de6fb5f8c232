"""How long a whole file takes through the machine model, and how much memory.

    python extras/benchmark/replay.py [--megabytes 60] [--gcode FILE]

A file as large as one of a print of 26 hours (without arcs, which the profiles do not ask for; or a sliced one) is read to
its end for its index (layers and checkpoints), as after the first outage without one, then up to a byte near its end, with
the index and without. Processor time, one thread; the ratio is that
of the index against reading the same file with Python's ``for line in file``, which is about the least that any parser does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before numpy is loaded: the figures are those of one core.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from octoprint_facesculpt.recovery.replay import build_index, state_at
from tests.recovery.programs import busy_file

#: Seconds for the index that are allowed.
LIMIT = 10.0


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time, and what came of it."""
    begun = time.process_time()
    found = work()
    return round(time.process_time() - begun, 3), found


def write(file: Path, megabytes: float) -> None:
    """A print of so many megabytes, written layer by layer."""
    one, two = busy_file(1).splitlines(keepends=True), busy_file(2).splitlines(keepends=True)
    begin = next(n for n, line in enumerate(one) if line.startswith(b";LAYER_CHANGE"))
    layer = [line for line in two[two.index(b";LAYER_CHANGE\n", begin + 1) :] if not line.startswith((b"M", b";PAUSE", b"G3"))]
    end = next(n for n, line in enumerate(layer) if b"F600" in line)
    with file.open("wb") as out:
        out.writelines(one[:begin])
        number = 0
        while out.tell() < megabytes * 1e6:
            number += 1
            z, hop = f"{0.2 * number:.2f}".encode(), f"{0.2 * number + 0.4:.2f}".encode()
            out.write(b"".join(layer[: end - 1]).replace(b"0.40", z).replace(b"Z0.80", b"Z" + hop))
        out.writelines(layer[end - 1 :])


def measure(megabytes: float, gcode: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = gcode or Path(folder, "print.gcode")
        if gcode is None:
            write(file, megabytes)
        size = file.stat().st_size
        place = size * 97 // 100
        build_index(_small(Path(folder)))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds, index = timed(lambda: build_index(file))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with_index, state = timed(lambda: state_at(file, place, index))
        without, same = timed(lambda: state_at(file, place))
        assert state == same
        plainly, lines = timed(lambda: _count(file))
    return {
        "megabytes": round(size / 1e6, 1), "lines": lines, "layers": len(index.layers), "index_seconds": seconds,
        "limit": LIMIT, "state_near_the_end_seconds": without, "with_the_index": with_index,
        "reading_lines_only_seconds": plainly, "ratio": round(seconds / plainly, 1),
        "peak_rss_megabytes": round(peak / 1024), "of_which_for_the_file": round((peak - before) / 1024, 1),
    }  # fmt: skip


def _small(folder: Path) -> Path:
    """Something to load numpy's code with."""
    file = folder / "small.gcode"
    file.write_bytes(busy_file(2))
    return file


def _count(file: Path) -> int:
    with file.open("rb") as source:
        return sum(1 for _ in source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=60.0)
    parser.add_argument("--gcode", type=Path, help="a sliced file instead")
    parser.add_argument("--out", type=Path, help="write the result as JSON")
    arguments = parser.parse_args()
    result = measure(arguments.megabytes, arguments.gcode)
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1))
    sys.exit(0 if result["index_seconds"] <= LIMIT else 1)


if __name__ == "__main__":
    main()
