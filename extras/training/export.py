"""Put what was learned into the package: one safetensors file, and its model card beside it.

    python extras/training/export.py --materials runs/materials.pkl --guess runs/guess.pt --volume runs/volume.pt \
        --notice ICT-FACEKIT-LICENSE --version 0.1.0 \
        --out octoprint_facesculpt/reconstruction/weights/facesculpt-vrn.safetensors

Run it, then ``extras/benchmark/accuracy.py``, then again with ``--accuracy`` and the benchmark's output: the card is
complete, the weights are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
from pathlib import Path
from string import Template

import numpy as np
import samples as data
import torch

from octoprint_facesculpt.reconstruction.guides import CHANNELS
from octoprint_facesculpt.reconstruction.network import FirstGuess, GuidedVolumeNet
from octoprint_facesculpt.reconstruction.weights import save

NAME = "facesculpt-vrn"


def training_log(path: Path) -> str:
    """The lines of ``train.py``'s log as a table."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    rows = ["| pictures | minutes | distance, guess | network | displacement, guess | network |", "|--|--|--|--|--|--|"]
    columns = (
        "samples", "minutes", "guess_mm", "network_mm", "guess_displacement_px", "network_displacement_px"
    )  # fmt: skip
    return "\n".join(rows + ["| " + " | ".join(str(line[c]) for c in columns) + " |" for line in lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "guess", "volume", "notice", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--accuracy", type=Path, help="output of extras/benchmark/accuracy.py")
    parser.add_argument("--guess-pictures", type=int, required=True, help="how many the first guess was learned from")
    parser.add_argument("--note", default="", help="what else the card should say of the training")
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    materials = pickle.loads(arguments.materials.read_bytes())
    model, _ = data.shipped_model(materials.model, materials.head.expression_names)
    stored = torch.load(arguments.guess)
    guess = FirstGuess(stored["features"], stored["outputs"])
    guess.load_state_dict(stored["state"])
    net = GuidedVolumeNet(CHANNELS)
    trained = torch.load(arguments.volume)
    net.load_state_dict(trained["net"])
    metadata = {
        "name": NAME,
        "version": arguments.version,
        "widths": json.dumps(net.widths),
        "samples": str(trained["samples"]),
        "head_model": "ICT-FaceKit Light, (c) 2020 USC Institute for Creative Technologies, MIT licence",
    }
    # A little more spread than measured on renders: photos are further from them than they are from each other.
    spread = stored["spread"].double().numpy()
    precision = np.linalg.inv(spread + 0.01 * np.diag(np.diag(spread)))
    save(arguments.out, guess, net, model, precision, metadata)
    card = Template(Path(__file__).with_name("model_card.md.in").read_text()).substitute(
        name=NAME,
        version=arguments.version,
        file=arguments.out.name,
        megabytes=f"{arguments.out.stat().st_size / 1e6:.1f}",
        sha256=hashlib.sha256(arguments.out.read_bytes()).hexdigest(),
        coefficients=stored["outputs"] - 1,
        parameters=f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}",
        expressions=len(model.expression),
        note=arguments.note,
        guess_pictures=f"{arguments.guess_pictures:,}",
        training_pictures=f"{trained['pictures']:,}",
        seen_pictures=f"{trained['samples']:,}",
        minutes=round(trained["seconds"] / 60),
        log=training_log(arguments.volume.with_suffix(".jsonl")),
        accuracy=arguments.accuracy.read_text().strip() if arguments.accuracy else "not measured yet",
        notice=arguments.notice.read_text().strip().replace("\n", "\n> ").replace("> \n", ">\n"),
    )
    arguments.out.with_name("MODEL_CARD.md").write_text(card)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
