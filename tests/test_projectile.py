"""Balls fly as physics says: a parabola without air, shorter with it."""

import numpy as np
import pandas as pd
import pytest

from regression_lib.data import make_projectile
from regression_lib.projectile import GRAVITY, fly


def test_without_air_the_flight_is_a_parabola():
    rng = np.random.default_rng(0)
    speed, angle = rng.uniform(5, 40, 200), rng.uniform(10, 80, 200)
    height = rng.uniform(0, 20, 200)
    up, along = speed * np.sin(np.deg2rad(angle)), speed * np.cos(np.deg2rad(angle))
    duration = (up + np.sqrt(up**2 + 2 * GRAVITY * height)) / GRAVITY
    exact = np.stack([along * duration, height + up**2 / (2 * GRAVITY), duration], axis=1)
    np.testing.assert_allclose(fly(speed, angle, 0 * speed, height), exact, rtol=1e-10)


def test_half_the_step_gives_the_same_flight():
    throws = make_projectile(2000)
    finer = fly(*throws.X.to_numpy().T, steps=200)
    np.testing.assert_allclose(throws.y.to_numpy(), finer, rtol=1e-4)


def test_air_shortens_the_throw():
    speed, angle = np.full(6, 30.0), np.full(6, 45.0)
    flights = fly(speed, angle, np.linspace(0, 0.05, 6), np.full(6, 2.0))
    assert (np.diff(flights[:, :2], axis=0) < 0).all()


def test_projectile_stays_in_its_ranges_and_repeats_with_its_seed():
    throws = make_projectile(300, seed=3)
    assert throws.X.shape == (300, 4)
    assert throws.target_names == ("range", "apex", "flight_time")
    assert (throws.X.min() >= [5, 10, 0, 0]).all()
    assert (throws.X.max() <= [40, 80, 0.05, 20]).all()
    assert (throws.y["apex"] > throws.X["height"]).all()
    pd.testing.assert_frame_equal(throws.y, make_projectile(300, seed=3).y)
    assert len(make_projectile(1)) == 1
    for n in (0, 1.5):
        with pytest.raises(ValueError, match="n"):
            make_projectile(n)
