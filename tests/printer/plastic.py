"""What has been printed, as a map of heights; and whether the nozzle runs into it."""

from __future__ import annotations

import numpy as np

#: Edge of a cell, mm; width of a printed line; radius of the nozzle's flat tip.
CELL, LINE, TIP = 0.25, 0.45, 0.3
#: Depth below the plastic's top that counts as touching, mm: less than that is what the cells and the steps leave open.
DEPTH = 0.02
#: Cells around the bed, so that nothing beside a way at its edge is out of the map.
MARGIN = 4


class Plastic:
    """Heights over the bed of ``size`` mm. Places are mm from the endstops."""

    def __init__(self, size: tuple[float, float] = (240.0, 240.0)) -> None:
        self.heights = np.zeros((round(size[0] / CELL) + 2 * MARGIN + 1, round(size[1] / CELL) + 2 * MARGIN + 1), np.float32)

    def copy(self) -> Plastic:
        other = Plastic.__new__(Plastic)
        other.heights = self.heights.copy()
        return other

    def clear(self) -> None:
        """Somebody takes everything off the bed."""
        self.heights[:] = 0.0

    @property
    def top(self) -> float:
        return float(self.heights.max())

    def add(self, start, end) -> None:
        """A line is printed from ``start`` to ``end`` (X, Y, Z of the nozzle)."""
        columns, rows, z = self._along(start, end, LINE / 2)
        np.maximum.at(self.heights, (columns, rows), z)

    def depth(self, start, end) -> float:
        """How deep the nozzle dips into the plastic on a straight way, mm; 0 or less when it does not."""
        columns, rows, z = self._along(start, end, TIP)
        return float((self.heights[columns, rows] - z).max())

    def under(self, place, radius: float = 2.0) -> float:
        """The highest plastic within ``radius`` of a place."""
        low = [max(int((value - radius) / CELL) + MARGIN, 0) for value in place[:2]]
        high = [int((value + radius) / CELL) + MARGIN + 2 for value in place[:2]]
        region = self.heights[low[0] : high[0], low[1] : high[1]]
        return float(region.max()) if region.size else 0.0

    def _along(self, start, end, half_width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, rows and heights of places in three tracks along a way: its middle and both edges."""
        dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
        length = (dx * dx + dy * dy) ** 0.5
        count = max(2, int(length / (CELL / 2)) + 2)
        share = np.arange(count) / (count - 1)
        # Across the way; where there is none, across X. Half a cell more: what follows cuts off.
        ax, ay = (-dy / length * half_width, dx / length * half_width) if length else (half_width, 0.0)
        x, y = start[0] + dx * share + (MARGIN + 0.5) * CELL, start[1] + dy * share + (MARGIN + 0.5) * CELL
        columns = (np.concatenate((x - ax, x, x + ax)) / CELL).astype(np.intp)
        rows = (np.concatenate((y - ay, y, y + ay)) / CELL).astype(np.intp)
        z = start[2] + dz * share
        return columns, rows, np.concatenate((z, z, z))
