"""Put what was learned into the package: one safetensors file, and its model card beside it.

    python extras/training/export.py --materials runs/materials.pkl --correspondence runs/encoder.pt \
        --descent runs/encoder.0.npz runs/step.npz runs/last.npz --descent-log runs/step.txt runs/last.txt \
        --recognition runs/recognition.pt \
        --volume runs/volume.pt --notice ICT-FACEKIT-LICENSE --version 0.2.0 \
        --out octoprint_facesculpt/reconstruction/weights/facesculpt-vrn.safetensors

Run it, then ``extras/benchmark/accuracy.py``, then again with ``--accuracy`` and the benchmark's output: the card is
complete, the weights are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path
from string import Template

import checkpoint
import numpy as np
import torch
from samples import shipped_model

from octoprint_facesculpt.reconstruction.descent import ByYaw, Descent, Shown, step_of
from octoprint_facesculpt.reconstruction.gradients import PATCH
from octoprint_facesculpt.reconstruction.guides import CHANNELS
from octoprint_facesculpt.reconstruction.look import Observer
from octoprint_facesculpt.reconstruction.network import GuidedVolumeNet
from octoprint_facesculpt.reconstruction.weights import save

NAME = "facesculpt-vrn"


def training_log(path: Path, columns: dict[str, str]) -> str:
    """The lines of a training's log as a table; ``columns`` names what is shown and how it is headed."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    step = max(1, len(lines) // 12)
    shown = [line for i, line in enumerate(lines) if (len(lines) - 1 - i) % step == 0]
    rows = ["| " + " | ".join(columns.values()) + " |", "|" + "--|" * len(columns)]
    return "\n".join(rows + ["| " + " | ".join(str(line[c]) for c in columns) + " |" for line in shown])


ENCODER_COLUMNS = {
    "samples": "pictures seen", "minutes": "minutes", "points_px": "points, px of 256", "head_mm": "head after the step, mm",
}  # fmt: skip
VOLUME_COLUMNS = {
    "samples": "pictures seen", "minutes": "minutes", "guess_mm": "distance, guess, mm", "network_mm": "network, mm",
    "guess_displacement_px": "displacement, guess, px", "network_displacement_px": "network, px",
}  # fmt: skip


def read_descent(*paths: Path) -> tuple[Descent, np.ndarray]:
    """The steps that were learned, one file each, and the precision of the heads after the last. One that reads the picture's
    gradients is the last."""
    files = [dict(np.load(path)) for path in paths]
    precision = files[-1]["precision"]
    on_maps = [file for file in files if len(file["basis"]) != PATCH]
    descent = Descent(Shown(files[0]["centre"], files[0]["basis"]), tuple(map(step_of, on_maps)))
    if len(on_maps) < len(files):
        last = files[-1]
        descent = replace(descent, gradients=Shown(last["centre"], last["basis"]), last=step_of(last))
    return descent, precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "correspondence", "recognition", "volume", "notice", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--descent", type=Path, nargs="+", required=True, help="a file for each step")
    parser.add_argument("--descent-log", type=Path, nargs="+", required=True, help="what train_step.py printed of each step")
    parser.add_argument("--accuracy", type=Path, help="output of extras/benchmark/accuracy.py")
    parser.add_argument("--note", default="", help="what else the card should say of the training")
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    materials = pickle.loads(arguments.materials.read_bytes())
    model, _ = shipped_model(materials.model, materials.head.expression_names)
    correspondence, vertices, stored = checkpoint.correspondence(arguments.correspondence)
    net = GuidedVolumeNet(CHANNELS)
    trained = torch.load(arguments.volume, map_location="cpu")
    net.load_state_dict(trained["net"])
    metadata = {
        "name": NAME,
        "version": arguments.version,
        "widths": json.dumps(net.widths),
        "samples": str(stored["samples"]),
        "head_model": "ICT-FaceKit Light, (c) 2020 USC Institute for Creative Technologies, MIT licence",
        "encoder": "trained on from MediaPipe's face landmarks detector, (c) Google, Apache-2.0",
        "recognition": "trained on from dlib_face_recognition_resnet_model_v1, Davis King, CC0 1.0",
    }
    descent, precision = read_descent(*arguments.descent)
    steps = [*descent.steps, descent.last]
    recogniser, known = checkpoint.recogniser(arguments.recognition)
    observer = Observer.of(model, correspondence, vertices, descent, recogniser)
    save(arguments.out, observer, net, model, precision, metadata)
    logs = [path.read_text().strip() for path in arguments.descent_log]
    counted = re.findall(r"(\d+) samples", logs[-1])
    card = Template(Path(__file__).with_name("model_card.md.in").read_text()).substitute(
        name=NAME,
        version=arguments.version,
        file=arguments.out.name,
        megabytes=f"{arguments.out.stat().st_size / 1e6:.1f}",
        sha256=hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        coefficients=stored["outputs"] - 1,
        points=len(stored["points"]),
        correspondence_parameters=f"{sum(p.numel() for p in correspondence.parameters()) / 1e6:.2f}",
        recognition_pictures=f"{known['pictures']:,}",
        recognition_seen=f"{known['learned']:,}",
        recognition_log=known["table"],
        parameters=f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}",
        expressions=len(model.expression),
        note=arguments.note,
        correspondence_pictures=f"{stored['pictures']:,}",
        correspondence_seen=f"{stored['samples']:,}",
        correspondence_minutes=round(stored["seconds"] / 60),
        descent_pictures=f"{sum(map(int, counted)):,}",
        descent_log="\n\n".join(logs),
        rank=", ".join(str((step.ranges[0] if isinstance(step, ByYaw) else step).gather.shape[1]) for step in steps),
        steps=len(steps),
        read=descent.maps.basis.shape[1],
        read_last=descent.gradients.basis.shape[1],
        training_pictures=f"{trained['pictures']:,}",
        seen_pictures=f"{trained['samples']:,}",
        minutes=round(trained["seconds"] / 60),
        encoder_log=training_log(arguments.correspondence.with_suffix(".jsonl"), ENCODER_COLUMNS),
        log=training_log(arguments.volume.with_suffix(".jsonl"), VOLUME_COLUMNS),
        accuracy=arguments.accuracy.read_text().strip() if arguments.accuracy else "not measured yet",
        notice=arguments.notice.read_text().strip().replace("\n", "\n> ").replace("> \n", ">\n"),
    )
    arguments.out.with_name("MODEL_CARD.md").write_text(card)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
