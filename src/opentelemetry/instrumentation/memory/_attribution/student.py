"""Quantiles of Student's t distribution."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

_NORMAL: Final = NormalDist()


def student_quantile(probability: float, freedom: int) -> float:
    """Return the value that a t-distributed number stays below with this probability.

    Hill's expansion (Algorithm 396, Communications of the ACM 13, 1970); within 0.1 % from 3
    degrees of freedom on. The probability is above one half.
    """
    two_sided = 2 * (1 - probability)
    a = 1 / (freedom - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * freedom
    x = d * two_sided
    y = x ** (2 / freedom)
    if y > 0.05 + a:
        x = _NORMAL.inv_cdf(two_sided / 2)
        y = x * x
        if freedom < 5:  # noqa: PLR2004 - as published
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = (
            (
                1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3)
                + 0.5 / (freedom + 4)
            )
            * y
            - 1
        ) * (freedom + 1) / (freedom + 2) + 1 / y
    return math.sqrt(freedom * y)
