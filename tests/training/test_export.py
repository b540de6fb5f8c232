"""Weights are made of new parts and, where none is given, of those of an older file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from octoprint_facesculpt.reconstruction.weights import PACKAGED, load, metadata_of


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch):
    """Runs the script with some arguments."""
    import export

    def run(*arguments: str | Path) -> None:
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        export.main()

    return run


def test_what_is_not_given_is_that_of_the_file_it_starts_from(export, tmp_path: Path) -> None:
    out = tmp_path / "again.safetensors"
    export("--start", PACKAGED, "--version", "9.9", "--out", out)
    before, after = load_file(PACKAGED), load_file(out)
    assert before.keys() == after.keys()
    for name, array in before.items():
        assert np.allclose(array.astype(float), after[name].astype(float), rtol=1e-6, atol=1e-9), name
    assert metadata_of(out)["version"] == "9.9" and metadata_of(out)["card"] == metadata_of(PACKAGED)["card"]
    card, packaged = ((path.parent / "MODEL_CARD.md").read_text() for path in (out, PACKAGED))
    assert "again.safetensors" in card and "not measured yet" in card
    assert card.split("## Training")[1].split("## Accuracy")[0] == packaged.split("## Training")[1].split("## Accuracy")[0]


def test_a_new_recognition_takes_the_place_of_the_old_one_alone(export, tmp_path: Path) -> None:
    recogniser = load(PACKAGED).observer.recogniser
    state = {
        "net": recogniser.net.state_dict(),
        "regressions": {"mean": torch.from_numpy(recogniser.mean), "shape": torch.from_numpy(2 * recogniser.shape)},
        "precision": torch.from_numpy(3 * recogniser.precision),
        "pictures": 12_345, "learned": 67_890, "table": "yaw range 0: as it was measured",
    }  # fmt: skip
    trained, out = tmp_path / "recognition.pt", tmp_path / "new.safetensors"
    torch.save(state, trained)
    export("--start", PACKAGED, "--recognition", trained, "--version", "9.9", "--out", out)
    before, after = load_file(PACKAGED), load_file(out)
    changed = {
        name for name, array in before.items() if not np.allclose(array.astype(float), after[name], rtol=1e-5, atol=1e-9)
    }
    assert changed == {"person.shape", "person.precision"}
    assert json.loads(metadata_of(out)["card"])["recognition_pictures"] == "12,345"
    assert "yaw range 0: as it was measured" in (tmp_path / "MODEL_CARD.md").read_text()


def test_a_new_closeup_takes_the_place_of_the_old_one_alone(export, tmp_path: Path) -> None:
    closeup = load(PACKAGED).closeup
    assert closeup is not None
    state = {
        "net": closeup.net.state_dict(),
        "pictures": 12_345,
        "samples": 67_890,
        "seconds": 600.0,
        "table": "as it was measured",
    }
    torch.save(state, tmp_path / "closeup.pt")
    answer = vars(closeup.answer)
    np.savez(tmp_path / "answer.npz", **(answer | {"offset": answer["offset"] + 1, "precision": 2 * answer["precision"]}))
    (tmp_path / "answer.txt").write_text("1234 samples")
    out = tmp_path / "new.safetensors"
    files = ("--closeup", tmp_path / "closeup.pt", "--answer", tmp_path / "answer.npz", "--answer-log", tmp_path / "answer.txt")
    export("--start", PACKAGED, *files, "--version", "9.9", "--out", out)
    before, after = load_file(PACKAGED), load_file(out)
    changed = {
        name for name, array in before.items() if not np.allclose(array.astype(float), after[name], rtol=1e-3, atol=1e-6)
    }
    assert changed == {"closeup.answer.offset", "closeup.answer.precision"}
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "12,345" in card and "67,890" in card and "as it was measured" in card and "1234 samples" in card


def test_weights_can_do_without_a_closeup(tmp_path: Path) -> None:
    """As they do while one is trained."""
    from octoprint_facesculpt.reconstruction.weights import save

    learned, out = load(PACKAGED), tmp_path / "without.safetensors"
    about = {"widths": json.dumps(learned.volume.widths)}
    save(out, learned.observer, learned.volume, learned.head, learned.precision, about)
    assert load(out).closeup is None and not any(name.startswith("closeup") for name in load_file(out))


def test_a_new_last_step_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    from export import read_descent

    from octoprint_facesculpt.reconstruction.descent import Deep, step_arrays

    descent = load(PACKAGED).observer.descent
    old = descent.last
    assert isinstance(old, Deep) and descent.gradients is not None
    file = tmp_path / "last.npz"
    arrays = step_arrays(old) | {"offset": old.offset + 1}
    np.savez(file, centre=descent.gradients.centre, basis=descent.gradients.basis, precision=np.eye(3), **arrays)
    new, precision = read_descent(PACKAGED, file)
    assert len(new.steps) == len(descent.steps) and np.array_equal(precision, np.eye(3))
    assert isinstance(new.last, Deep) and np.allclose(new.last.offset, old.offset + 1)


def test_a_step_learned_anew_comes_behind_so_many_of_the_file(tmp_path: Path) -> None:
    from export import read_descent

    from octoprint_facesculpt.reconstruction.descent import Deep, step_arrays

    descent = load(PACKAGED).observer.descent
    old = descent.steps[1]
    assert isinstance(old, Deep)
    file = tmp_path / "step.npz"
    arrays = step_arrays(old) | {"offset": old.offset + 1}
    np.savez(file, centre=descent.maps.centre, basis=descent.maps.basis, precision=np.eye(3), **arrays)
    new, _ = read_descent(PACKAGED, file, steps=1)
    assert len(new.steps) == 2 and new.steps[0] is descent.steps[0]
    assert isinstance(new.steps[1], Deep) and np.allclose(new.steps[1].offset, old.offset + 1)
    # A last step learned behind other ones is none of this descent; what it read is read again.
    assert new.last is None and new.gradients is descent.gradients


def test_what_is_told_of_a_step_stands_behind_what_was_told_before(export, tmp_path: Path) -> None:
    log, out = tmp_path / "last.txt", tmp_path / "new.safetensors"
    log.write_text("1234 samples\nyaw range 0: as it was measured")
    export("--start", PACKAGED, "--descent-log", log, "--version", "9.9", "--out", out)
    before, after = (json.loads(metadata_of(path)["card"]) for path in (PACKAGED, out))
    assert after["descent_pictures"] == before["descent_pictures"] + ", 1,234"
    assert after["descent_log"] == before["descent_log"] + "\n\n" + log.read_text()


@pytest.mark.parametrize("gradients", [True, False])
def test_samples_are_of_guesses_before_the_last_step_of_a_weights_file(gradients: bool) -> None:
    from checkpoint import correspondence
    from descent_samples import before_last

    observer = load(PACKAGED).observer
    descent = before_last(observer.descent, gradients)
    assert descent.last is None and descent.steps == observer.descent.steps
    assert (descent.gradients is not None) == gradients
    net, vertices, _ = correspondence(PACKAGED)
    assert net is observer.net and vertices is observer.vertices
