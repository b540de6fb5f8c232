"""Heads as there are: nobody is too far from the average, and faces are mostly at rest.

An expression of the head model is made of amounts, 0..1, and a face shows few of them at a time. What is regressed from a photo
knows nothing of that: it says a little of everything, and less than nothing of some, and that much is the noise of the
measurement. On people whom the networks never learned from, that noise was most of the expression.
"""

from __future__ import annotations

import numpy as np

#: Rate of the exponential distribution that amounts are believed to have beforehand. Of what is regressed, scans of real faces
#: had 0.80 mm from the front, better than the average head on three of four, and with this rate 0.73 and four; MakeHuman's
#: heads 0.99 and 0.91 mm (frontal, half turned), then 0.97 and 0.89. Drawn people, all of whom make some face, had 1.49 and
#: then 1.52. With twice the rate MakeHuman's are better still, and drawn ones by 0.08 worse.
REST = 1.0
#: The largest amount.
MOST = 1.1
#: The root mean square of a person's coefficients, which are standard normal, that one in many thousands has.
RAREST = 1.3


def plausible(identity: np.ndarray) -> np.ndarray:
    """Draw a shape (I,) that is rarer than that back towards the mean."""
    rarity = float(np.sqrt((identity**2).mean()))
    return identity * min(1.0, RAREST / max(rarity, 1e-9))


def settled(expression: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """The most probable amounts (E,) if an ``expression`` (E,) was measured with a ``precision`` (E, E).

    With an exponential distribution beforehand that is the lasso with no amount below zero (Tibshirani, "Regression Shrinkage
    and Selection via the Lasso", 1996, section 5).
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import lsq_linear

    root = cholesky(precision)
    wanted = solve_triangular(root, precision @ expression - REST, trans="T")
    return lsq_linear(root, wanted, (0.0, MOST), method="bvls").x
