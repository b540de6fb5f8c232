"""Numbers of many pictures as a table, as JSON, and as the README's few lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from contenders import AVERAGE, OURS

Row = dict[str, dict[str, float]]


def summarise(rows: list[Row], judged_by: str) -> dict[str, Any]:
    """Means of every contender's columns, medians and worst of ``judged_by``, and on how many pictures ours is better than the
    average head by it."""
    names = sorted({name for row in rows for name in row}, key=lambda n: (n != OURS, n != AVERAGE, n))
    result: dict[str, Any] = {"pictures": len(rows), "judged by": judged_by, "contenders": {}}
    for name in names:
        own = [row[name] for row in rows if name in row]
        columns = list(dict.fromkeys(column for values in own for column in values))
        means = {c: float(np.nanmean([values[c] for values in own if c in values])) for c in columns}
        result["contenders"][name] = means
        if judged_by in columns:
            values = np.array([v[judged_by] for v in own if judged_by in v])
            means[f"{judged_by}, median of pictures"] = float(np.median(values))
            means[f"{judged_by}, worst"] = float(values.max())
    pairs = [(row[OURS][judged_by], row[AVERAGE][judged_by]) for row in rows if OURS in row and AVERAGE in row]
    if pairs:
        result["better than the average head"] = float(np.mean([ours < average for ours, average in pairs]))
    return result


def table(title: str, summary: dict[str, Any]) -> str:
    """A Markdown table, a row a measure and a column a contender."""
    names = list(summary["contenders"])
    columns = list(dict.fromkeys(c for name in names for c in summary["contenders"][name]))
    lines = [
        f"### {title} ({summary['pictures']} pictures)",
        "",
        "| | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for column in columns:
        values = [summary["contenders"][name].get(column) for name in names]
        lines.append(f"| {column} | " + " | ".join("" if v is None else f"{v:.3f}" for v in values) + " |")
    better = summary.get("better than the average head")
    if better is not None:
        lines += ["", f"Better than the average head by {summary['judged by']} on {100 * better:.0f} %."]
    return "\n".join(lines) + "\n"


def save(folder: Path, name: str, data: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1))


def load(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def short(results: dict[str, Any], columns: Iterable[tuple[str, str, str]]) -> str:
    """The README's table from saved results: ``columns`` are (benchmark, set, measure)."""
    lines = ["| | this plugin | average head | MediaPipe's mesh | better than average |", "|---|---|---|---|---|"]
    for benchmark, part, measure in columns:
        summary = results.get(benchmark, {}).get(part)
        if not summary:
            continue
        values = [summary["contenders"].get(name, {}).get(measure) for name in (OURS, AVERAGE, "MediaPipe's mesh")]
        better = summary.get("better than the average head")
        cells = ["" if v is None else f"{v:.2f}" for v in values] + ["" if better is None else f"{100 * better:.0f} %"]
        lines.append(f"| {part}: {measure} ({summary['pictures']}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)
