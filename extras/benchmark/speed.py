"""Photo to raw head: seconds and memory, beside VRN's published network in the same run.

Both sides run alternately, each in a process of its own with the same number of threads. VRN's weights decide nothing about its
time: random ones are taken. Processor time is given beside wall-clock time, which others on the machine lengthen.

"All networks" are the forward passes that one photo of a face looking into the camera takes (the most there are): the
correspondence network's four views, the recognition's two, the close-up and the volumetric network. As of VRN's, the median of
some is taken, after one that warms up. What the product computes between them (descent, fits, volumes) is in the seconds from
photo to head.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

THREADS = 2
#: Times that the networks run in each process.
RUNS = 5


def measured(command: list[str]) -> tuple[str, dict[str, float]]:
    """Run a command: its output, and wall-clock seconds, processor seconds and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    wall = time.perf_counter() - start
    return output, {"wall": wall, "processor": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def ours(photo: Path, weights: Path | None) -> dict[str, float]:
    """The product's own command, from its start to the file of the raw head."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "octoprint_facesculpt", "reconstruct", str(photo), "--raw", "--threads", str(THREADS)]
        command += ["-o", str(Path(folder, "head.ply")), "--report", str(report)]
        command += ["--weights", str(weights)] if weights else []
        _, used = measured(command)
        steps = json.loads(report.read_text())["seconds"]
    choice = ["--weights", str(weights)] if weights else []
    networks, _ = measured([sys.executable, str(Path(__file__)), "--passes", *choice])
    return {**used, **json.loads(networks), "without start-up": sum(steps.values()) - steps.get("load", 0.0)}


def theirs() -> dict[str, float]:
    """VRN's network on one picture in a process of its own (see :func:`run_vrn`)."""
    output, used = measured([sys.executable, str(Path(__file__)), "--vrn"])
    return {**used, **json.loads(output)}


def run_vrn() -> None:
    """One forward pass of VRN; prints its seconds as JSON."""
    import torch

    from octoprint_facesculpt.reconstruction.vrn2017_network import VolumetricNetwork

    network, picture = VolumetricNetwork().eval(), torch.rand(1, 3, 192, 192)
    seconds = _passes(lambda: network(picture))
    print(json.dumps({**seconds, "parameters": sum(p.numel() for p in network.parameters())}))


def run_ours(weights: Path | None) -> None:
    """The forward passes of our networks for one photo; prints their seconds as JSON."""
    import torch

    from octoprint_facesculpt.reconstruction.alignment import CROP, PICTURE
    from octoprint_facesculpt.reconstruction.closeup import POSE, SIDE
    from octoprint_facesculpt.reconstruction.correspondence import REGION
    from octoprint_facesculpt.reconstruction.guides import CHANNELS
    from octoprint_facesculpt.reconstruction.look import VIEWS
    from octoprint_facesculpt.reconstruction.recognition import CHIP
    from octoprint_facesculpt.reconstruction.volume import GRID
    from octoprint_facesculpt.reconstruction.weights import PACKAGED, load

    learned = load(weights or PACKAGED)
    # A pixel's colours beside each other, as they are in a photo.
    views = torch.rand(2 * len(VIEWS), REGION, REGION, 3).permute(0, 3, 1, 2)
    faces = torch.rand(2, 3, CHIP, CHIP)
    places = SIDE * torch.rand(1, len(learned.closeup.points.mean), 2)
    close = torch.rand(1, SIDE, SIDE, 3).permute(0, 3, 1, 2), torch.rand(1, POSE), places
    guided = torch.rand(1, 3, PICTURE, PICTURE), torch.rand(1, CHANNELS, CROP, CROP), torch.rand(1, GRID, GRID, GRID)

    def photo() -> None:
        learned.observer.net(views)
        learned.observer.recogniser.net(faces)
        learned.closeup.net(*close)
        learned.volume(*guided)

    print(json.dumps(_passes(photo)))


def _passes(run: Callable[[], object]) -> dict[str, float]:
    """Seconds of ``run`` by the clock and of the processor, medians of ``RUNS`` after once that warms up."""
    import torch

    torch.set_num_threads(THREADS)
    with torch.inference_mode():
        run()
        taken = []
        for _ in range(RUNS):
            start, used = time.perf_counter(), time.process_time()
            run()
            taken.append((time.perf_counter() - start, time.process_time() - used))
    wall, processor = (median(column) for column in zip(*taken, strict=True))
    return {"network": wall, "network processor": processor}


def benchmark_speed(photo: Path | None, weights: Path | None, repeats: int) -> dict[str, Any]:
    """Medians over ``repeats`` alternating runs."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        photo = photo or _astronaut(Path(folder))
        runs = [(ours(photo, weights), theirs()) for _ in range(repeats)]
    sides = {name: {key: float(np.median([run[i][key] for run in runs])) for key in runs[0][i]} for i, name in enumerate(SIDES)}
    return {**sides, "repeats": repeats, "threads": THREADS}


SIDES = ("this plugin", "VRN")


def _astronaut(folder: Path) -> Path:
    from PIL import Image
    from skimage.data import astronaut

    path = folder / "astronaut.png"
    Image.fromarray(astronaut()).save(path)
    return path


def table(result: dict[str, Any]) -> str:
    us, vrn = (result[name] for name in SIDES)
    lines = [f"### Speed ({result['threads']} threads, median of {result['repeats']} alternating runs)", ""]
    lines += ["| | this plugin | VRN, random weights | ratio |", "|---|---|---|---|"]
    rows = (
        ("photo to raw head with start-up / one forward pass, wall s", us["wall"], vrn["network"]),
        ("the same, processor s", us["processor"], vrn["network processor"]),
        ("photo to raw head without start-up, wall s", us["without start-up"], vrn["network"]),
        ("all networks / one forward pass, wall s", us["network"], vrn["network"]),
        ("the same, processor s", us["network processor"], vrn["network processor"]),
        ("peak memory, MB", us["peak_mb"], vrn["peak_mb"]),
    )
    lines += [f"| {name} | {a:.2f} | {b:.2f} | {b / max(a, 1e-9):.1f} |" for name, a, b in rows]
    lines.append(f"\nVRN's network has {vrn['parameters']:.0f} parameters.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vrn", action="store_true", help="run VRN's network once")
    parser.add_argument("--passes", action="store_true", help="run our networks once")
    parser.add_argument("--weights", type=Path)
    wanted = parser.parse_args()
    if wanted.vrn:
        run_vrn()
    elif wanted.passes:
        run_ours(wanted.weights)
