"""A ball thrown through air: the physics behind `regression_lib.make_projectile`.

The air brakes with the square of the speed, a = −g e_y − k |v| v, and the path is followed by
the Runge–Kutta method of fourth order.
"""

import numpy as np

GRAVITY = 9.81  # m/s²


def fly(
    speed: np.ndarray, angle: np.ndarray, drag: np.ndarray, height: np.ndarray, steps: int = 100
) -> np.ndarray:
    """Follow balls from hand to ground by the Runge–Kutta method of fourth order.

    Parameters
    ----------
    speed, angle, drag, height : arrays of float, shape (n,)
        In m/s, degrees above the horizon (0 < angle < 180), 1/m, m.
    steps : int
        Steps in the time that the flight would take without air.

    Returns
    -------
    numpy.ndarray, shape (n, 3)
        Range (m), apex (m above the ground) and flight time (s).
    """
    direction = np.deg2rad(angle)
    up = speed * np.sin(direction)
    state = np.stack([np.zeros_like(height), height, speed * np.cos(direction), up])
    step = (up + np.sqrt(up**2 + 2 * GRAVITY * height)) / GRAVITY / steps
    result = np.full((len(speed), 3), np.nan)
    count = 0
    while np.isnan(result).any():  # air makes some flights longer than `steps` steps
        after = _runge_kutta(state, drag, step)
        past_apex = np.isnan(result[:, 1]) & (after[3] <= 0)
        if past_apex.any():
            _, at_apex = _hit(state[:, past_apex], drag[past_apex], step[past_apex], row=3)
            result[past_apex, 1] = at_apex[1]
        landed = np.isnan(result[:, 0]) & (after[1] <= 0)
        if landed.any():
            part, on_ground = _hit(state[:, landed], drag[landed], step[landed], row=1)
            result[landed, 0] = on_ground[0]
            result[landed, 2] = count * step[landed] + part
        state, count = after, count + 1
    return result


def _acceleration(state, drag):
    """The time derivative of (x, y, v_x, v_y)."""
    v_x, v_y = state[2], state[3]
    brake = drag * np.hypot(v_x, v_y)
    return np.stack([v_x, v_y, -brake * v_x, -GRAVITY - brake * v_y])


def _runge_kutta(state, drag, step):
    k1 = _acceleration(state, drag)
    k2 = _acceleration(state + step / 2 * k1, drag)
    k3 = _acceleration(state + step / 2 * k2, drag)
    k4 = _acceleration(state + step * k3, drag)
    return state + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _hit(state, drag, step, row):
    """Shorten the step until `row` of the state is 0: Newton's method, which knows the slope.

    A straight line between two steps would miss the ground by far more than Runge–Kutta errs.
    """
    part = step / 2
    for _ in range(8):
        there = _runge_kutta(state, drag, part)
        part = np.clip(part - there[row] / _acceleration(there, drag)[row], 0, step)
    return part, _runge_kutta(state, drag, part)
