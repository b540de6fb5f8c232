"""How long a cancelled slice takes to be gone: python extras/benchmark/cancel.py MODEL.stl [--profile bust_016] [--repeats 1]

For each engine the command ``slice`` is run as the plugin's jobs run it, and cancelled as soon as it says that it is that far.
The time runs from the cancel to the moment at which the job has ended and no process that it started lives. What it had
written of the G-code by then is told, and a process or file that is left behind is an error.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from slicing_job import arguments, parser

sys.path.insert(0, str(Path(__file__).parents[2]))

from octoprint_facesculpt.errors import Cancelled
from octoprint_facesculpt.jobs import runner
from octoprint_facesculpt.slicing import ENGINES
from tests.children import descendants

#: Progress at which it is cancelled: as the engine begins, on its way, while it writes, and while the G-code is checked.
INSTANTS = (0.0, 0.3, 0.5, 0.75, 0.85, 0.87)
#: Seconds it goes on after that, so that there is something in the middle of being done; but the check, most of which was done
#: while the engine wrote, is over by then.
LATER, CHECKING = 0.1, 0.87
#: What a slice leaves that was done when the cancel came.
FINISHED = ["bust.gcode", "index.json"]


def main() -> None:
    options = parser(__doc__, repeats=1).parse_args()
    worst: dict[str, float] = {}
    for name in ENGINES:
        for instant in INSTANTS:
            for _ in range(options.repeats):
                seconds, said, written = cancel(name, options.model.absolute(), options.profile, instant)
                worst[name] = max(worst.get(name, 0.0), seconds)
                print(f"{name}: {said}; {written / 1e6:.1f} MB written; gone in {seconds:.2f} s", flush=True)
    for name, seconds in worst.items():
        print(f"{name}: {seconds:.2f} s at worst")


def cancel(name: str, model: Path, profile: str, instant: float) -> tuple[float, str, int]:
    """Seconds from the cancel to its end, what the job said last, and bytes of G-code that were there at the cancel."""
    cancelled, said, at = threading.Event(), [""], [0.0, 0]
    with tempfile.TemporaryDirectory() as text:
        folder, log = Path(text, "out"), Path(text, "job.log")
        folder.mkdir()

        def stop() -> None:
            at[:] = [time.perf_counter(), sum(file.stat().st_size for file in folder.rglob("out.gcode*"))]
            cancelled.set()

        later = threading.Timer(LATER if instant < CHECKING else 0.0, stop)

        def heard(fraction: float, message: str) -> None:
            if fraction >= instant and later.ident is None:
                said[0] = f"{fraction:.0%}, {message}"
                later.start()

        command = [sys.executable, "-m", "octoprint_facesculpt", *arguments(name, model, profile, folder), "--json"]
        try:
            runner.run(command, log=log, on_progress=heard, cancelled=cancelled, time_limit_seconds=3600)
        except Cancelled:
            pass
        else:
            raise SystemExit(f"{name} was done before it could be cancelled at {instant:.0%}")
        while descendants():
            time.sleep(0.005)
        seconds = time.perf_counter() - at[0]
        left = sorted(file.name for file in folder.iterdir())
        if left == FINISHED:
            said[0] += " (done before it was told)"
        elif left:
            raise SystemExit(f"{name}, cancelled at {said[0]}, left {', '.join(left)}")
    return seconds, said[0], int(at[1])


if __name__ == "__main__":
    main()
