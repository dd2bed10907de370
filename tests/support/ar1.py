"""Correlated noise, seeded."""

import numpy as np


def correlated(rho, n, sd=1.0, seed=0):
    """Return `n` values of stationary AR(1) noise; `seed` may be a generator."""
    draws = np.random.default_rng(seed).standard_normal(n)
    values = [draws[0]]
    for draw in draws[1:]:
        values.append(rho * values[-1] + np.sqrt(1 - rho**2) * draw)
    return sd * np.array(values)
