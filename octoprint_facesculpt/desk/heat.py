"""Whether the printer gets warm on the way to a resume, seen by the temperatures it reports."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

#: Degrees below the target that count as there, rise that counts as progress, and seconds without any that do not.
NEAR, RISE, PATIENCE = 3.0, 1.5, 120.0


@dataclass
class Heater:
    """One heater on its way to ``target`` degrees."""

    target: float
    actual: float | None = None
    best: float = -1e9
    since: float = field(default_factory=time.monotonic)

    def see(self, actual: float) -> None:
        self.actual = actual
        if actual > self.best + RISE or self.there:
            self.best, self.since = max(actual, self.best), time.monotonic()

    @property
    def there(self) -> bool:
        return self.target <= 0 or (self.actual is not None and self.actual >= self.target - NEAR)

    @property
    def stuck(self) -> bool:
        """Whether it has not become warmer for a long while."""
        return not self.there and time.monotonic() - self.since > PATIENCE


@dataclass
class Heating:
    """Bed and nozzle."""

    bed: Heater
    nozzle: Heater

    def see(self, parsed: dict[str, Any]) -> None:
        """Take over temperatures as OctoPrint read them."""
        for heater, names in ((self.nozzle, ("T0", "T")), (self.bed, ("B",))):
            actual = next((parsed[name][0] for name in names if parsed.get(name) and parsed[name][0] is not None), None)
            if actual is not None:
                heater.see(actual)

    @property
    def hot(self) -> bool:
        return self.bed.there and self.nozzle.there

    def to_json(self) -> dict[str, Any]:
        def one(heater: Heater) -> dict[str, Any]:
            return {"actual": heater.actual, "target": heater.target, "there": heater.there, "stuck": heater.stuck}

        return {"bed": one(self.bed), "nozzle": one(self.nozzle), "hot": self.hot}
