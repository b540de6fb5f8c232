"""Put what was learned into the package: one safetensors file, and its model card beside it.

    python extras/training/export.py --materials runs/materials.pkl --correspondence runs/encoder.pt \
        --descent runs/encoder.0.npz runs/step.npz runs/last.npz --descent-log runs/step.txt runs/last.txt \
        --recognition runs/recognition.pt \
        --volume runs/volume.pt --notice ICT-FACEKIT-LICENSE --version 0.2.0 \
        --out octoprint_facesculpt/reconstruction/weights/facesculpt-vrn.safetensors

Run it, then ``extras/benchmark/accuracy.py``, then again with ``--accuracy`` and the benchmark's output: the card is
complete, the weights are the same. With ``--start`` and an older weights file what is not given anew is that file's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import checkpoint
import numpy as np
import torch
from samples import shipped

from octoprint_facesculpt.reconstruction.closeup import Answer, Closeup, closeup_points
from octoprint_facesculpt.reconstruction.correspondence import CorrespondenceNet
from octoprint_facesculpt.reconstruction.descent import ByYaw, Descent, Shown, step_of
from octoprint_facesculpt.reconstruction.gradients import PATCH
from octoprint_facesculpt.reconstruction.guides import CHANNELS
from octoprint_facesculpt.reconstruction.head_model import HeadModel
from octoprint_facesculpt.reconstruction.look import Observer
from octoprint_facesculpt.reconstruction.network import GuidedVolumeNet
from octoprint_facesculpt.reconstruction.recognition import Recogniser
from octoprint_facesculpt.reconstruction.weights import load, metadata_of, save

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


def read_descent(*paths: Path, steps: int | None = None) -> tuple[Descent, np.ndarray]:
    """The steps that were learned, one file each, and the precision of the heads after the last. One that reads the picture's
    gradients is the last. A weights file stands for all its steps, or for its first ``steps``; a last step behind it takes the
    place of its own."""
    descent, precision = None, np.zeros((0, 0))
    for path in paths:
        if path.suffix == checkpoint.WEIGHTS:
            learned = load(path)
            descent, precision = learned.observer.descent, learned.precision
            if steps is not None:
                descent = replace(descent, steps=descent.steps[:steps], last=None)
            continue
        file = dict(np.load(path))
        shown, step, precision = Shown(file["centre"], file["basis"]), step_of(file), file["precision"]
        if descent is None:
            descent = Descent(shown, (step,))
        elif len(shown.basis) == PATCH:
            descent = replace(descent, gradients=shown, last=step)
        else:
            descent = replace(descent, steps=(*descent.steps, step))
    if descent is None:
        raise ValueError("no step of the descent was given")
    return descent, precision


class Parts:
    """What goes into the weights file; ``about`` holds what the model card says of how each part was learned."""

    model: HeadModel
    correspondence: CorrespondenceNet
    vertices: np.ndarray
    descent: Descent
    precision: np.ndarray
    recogniser: Recogniser
    volume: GuidedVolumeNet
    closeup: Closeup | None = None
    about: dict[str, Any]

    def __init__(self, start: Path | None) -> None:
        self.about = {}
        if start is None:
            return
        learned = load(start)
        observer = learned.observer
        self.model, self.volume, self.precision = learned.head, learned.volume, learned.precision
        self.correspondence, self.vertices = observer.net, observer.vertices
        self.descent, self.recogniser, self.closeup = observer.descent, observer.recogniser, learned.closeup
        self.about = json.loads(metadata_of(start)["card"])

    def read(self, given: argparse.Namespace) -> None:
        """Take what is given."""
        if given.materials:
            self.model, _ = shipped(given.materials)
        if given.correspondence:
            self.correspondence, self.vertices, state = checkpoint.correspondence(given.correspondence)
            self.about |= {
                "correspondence_pictures": f"{state['pictures']:,}",
                "correspondence_seen": f"{state['samples']:,}",
                "correspondence_minutes": round(state["seconds"] / 60),
                "encoder_log": training_log(given.correspondence.with_suffix(".jsonl"), ENCODER_COLUMNS),
            }
        if given.descent:
            self.descent, self.precision = read_descent(*given.descent, steps=given.steps)
        if given.descent_log:
            logs = [path.read_text().strip() for path in given.descent_log]
            counted = [f"{int(count):,}" for log in logs for count in re.findall(r"(\d+) samples", log)]
            # A step that was trained on has been trained before.
            for name, told, joint in (("descent_pictures", counted, ", "), ("descent_log", logs, "\n\n")):
                self.about[name] = joint.join([*([self.about[name]] if name in self.about else []), *told])
        if given.recognition:
            self.recogniser, known = checkpoint.recogniser(given.recognition)
            self.about |= {
                "recognition_pictures": f"{known['pictures']:,}",
                "recognition_seen": f"{known['learned']:,}",
                "recognition_log": known["table"],
            }
        if given.closeup:
            net, state = checkpoint.closeup(given.closeup)
            self.closeup = Closeup(net, closeup_points(self.model, self.vertices), Answer(**np.load(given.answer)))
            self.about |= {
                "closeup_pictures": f"{state['pictures']:,}",
                "closeup_seen": f"{state['samples']:,}",
                "closeup_minutes": round(state["seconds"] / 60),
                "closeup_log": state["table"],
                "answer_log": given.answer_log.read_text().strip(),
            }
        if given.volume:
            state = torch.load(given.volume, map_location="cpu")
            self.volume = GuidedVolumeNet(CHANNELS)
            self.volume.load_state_dict(state["net"])
            self.about |= {
                "training_pictures": f"{state['pictures']:,}",
                "seen_pictures": f"{state['samples']:,}",
                "minutes": round(state["seconds"] / 60),
                "log": training_log(given.volume.with_suffix(".jsonl"), VOLUME_COLUMNS),
            }
        if given.notice:
            self.about["notice"] = given.notice.read_text().strip().replace("\n", "\n> ").replace("> \n", ">\n")
        if given.note is not None:
            self.about["note"] = given.note

    def facts(self) -> dict[str, Any]:
        """What the model card says of the parts themselves."""
        steps = [*self.descent.steps, *([self.descent.last] if self.descent.last else [])]
        gathered = [(step.ranges[0] if isinstance(step, ByYaw) else step).gather.shape[1] for step in steps]
        return {
            "coefficients": len(self.precision) - 1,
            "points": len(self.vertices),
            "correspondence_parameters": _millions(self.correspondence),
            "parameters": _millions(self.volume),
            "expressions": len(self.model.expression),
            "rank": ", ".join(map(str, gathered)),
            "steps": len(steps),
            "read": self.descent.maps.basis.shape[1],
            "closeup_parameters": _millions(self.closeup.net) if self.closeup else "0",
            "read_last": self.descent.gradients.basis.shape[1] if self.descent.gradients else 0,
        }


def _millions(net: torch.nn.Module) -> str:
    return f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "correspondence", "recognition", "volume", "notice"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights file whose parts are kept where none is given")
    parser.add_argument("--descent", type=Path, nargs="+", help="a file for each step")
    parser.add_argument("--steps", type=int, help="take so many steps only of a weights file in --descent")
    parser.add_argument("--descent-log", type=Path, nargs="+", help="what train_step.py printed of each step")
    parser.add_argument("--closeup", type=Path, help="state of train_closeup.py")
    parser.add_argument("--answer", type=Path, help="what its answers mean")
    parser.add_argument("--answer-log", type=Path, help="what train_answer.py printed")
    parser.add_argument("--accuracy", type=Path, help="output of extras/benchmark/accuracy.py")
    parser.add_argument("--note", help="what else the card should say of the training")
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    parts = Parts(arguments.start)
    parts.read(arguments)
    metadata = {
        "name": NAME,
        "version": arguments.version,
        "widths": json.dumps(parts.volume.widths),
        "head_model": "ICT-FaceKit Light, (c) 2020 USC Institute for Creative Technologies, MIT licence",
        "encoder": "trained on from MediaPipe's face landmarks detector, (c) Google, Apache-2.0",
        "recognition": "trained on from dlib_face_recognition_resnet_model_v1, Davis King, CC0 1.0",
        "card": json.dumps(parts.about, sort_keys=True),
    }
    observer = Observer.of(parts.model, parts.correspondence, parts.vertices, parts.descent, parts.recogniser)
    save(arguments.out, observer, parts.volume, parts.model, parts.precision, metadata, parts.closeup)
    card = Template(Path(__file__).with_name("model_card.md.in").read_text()).substitute(
        name=NAME,
        version=arguments.version,
        file=arguments.out.name,
        megabytes=f"{arguments.out.stat().st_size / 1e6:.1f}",
        sha256=hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        accuracy=arguments.accuracy.read_text().strip() if arguments.accuracy else "not measured yet",
        **parts.facts(),
        **parts.about,
    )
    arguments.out.with_name("MODEL_CARD.md").write_text(card)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
