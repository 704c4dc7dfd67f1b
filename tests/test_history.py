"""History: what it says of epochs and members, on rows made by hand."""

import math

import pandas as pd
import pytest

from regression_lib.history import History, Row


def row(epoch, member, validation_loss=math.nan, train_loss=1.0):
    return Row(epoch, member, train_loss, validation_loss, lr=0.1, seconds=1.0)


@pytest.fixture
def pair():
    """Two members: the first goes on for an epoch after the patience of the second has run out."""
    rows = [row(1, 0, 5.0), row(1, 1, 3.0), row(2, 0, 1.0), row(2, 1, 4.0), row(3, 0, 2.0)]
    return History(rows, "early", n_members=2)


def test_the_last_rows_are_of_one_epoch(pair):
    assert pair.last() == [row(3, 0, 2.0)]
    assert History(pair.rows[:4], n_members=2).last() == pair.rows[2:4]
    alone = History([row(1, 0), row(2, 0)])
    assert alone.last() == [row(2, 0)]
    assert History().last() == History(n_members=2).last() == []


def test_a_members_history_is_its_own(pair):
    assert pair[0].rows == [row(1, 0, 5.0), row(2, 0, 1.0), row(3, 0, 2.0)]
    assert pair[-1].rows == pair[1].rows == [row(1, 1, 3.0), row(2, 1, 4.0)]
    assert pair[1].stopped == "early"
    assert [len(pair), len(pair[0]), len(pair[1])] == [3, 3, 2]
    for k in (2, -3):
        with pytest.raises(IndexError, match=f"no member {k}: the ensemble has 2"):
            pair[k]
    with pytest.raises(TypeError, match="one network has no members"):
        pair[0][0]


def test_the_best_epoch_has_the_lowest_validation_loss(pair):
    assert pair.best_epoch == [2, 1]
    assert pair[0].best_epoch == 2
    assert list(map(tuple, pair.best.to_numpy())) == [row(2, 0, 1.0), row(1, 1, 3.0)]
    assert History([row(1, 0), row(2, 0)]).best_epoch == 2  # nothing to judge by: the last
    assert History([row(1, 0, math.nan), row(2, 0, 4.0), row(3, 0, 4.0)]).best_epoch == 2
    assert History().best_epoch == 0


def test_the_frame_names_members_only_where_there_are_some(pair):
    assert list(pair.frame) == list(Row._fields)
    assert list(pair[0].frame) == [name for name in Row._fields if name != "member"]
    pd.testing.assert_series_equal(
        pair[0].frame.validation_loss, pd.Series([5.0, 1.0, 2.0]), check_names=False
    )


def test_the_spread_of_members_is_that_of_a_sample():
    history = History([row(1, 0, 1.0, 0.2), row(1, 1, 3.0, 0.2)], n_members=2)
    assert repr(history) == (
        "History(2 members, 1 epochs, finished; at their best epochs: train loss "
        "0.2000 ± 0.0000, validation loss 2.0000 ± 1.4142)"
    )


def test_one_network_has_no_spread():
    text = "History(2 epochs, finished; epoch 1: train loss 1.0000, validation loss 0.5000)"
    assert repr(History([row(1, 0, 0.5), row(2, 0, 0.7)])) == text
    assert repr(History(stopped="interrupted")) == "History(0 epochs, interrupted)"


def test_a_page_shows_the_last_three_epochs(pair):
    assert pair._repr_html_().count("<tr>") == 5  # all that there are
    long = History([row(epoch, 0) for epoch in range(1, 10)])
    assert long._repr_html_().count("<tr>") == 3
    assert "<p>History(9 epochs" in long._repr_html_()
