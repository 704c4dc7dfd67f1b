"""Descent does what torch.optim does, on one vector; schedules are PyTorch's own."""

import copy
from functools import partial

import pytest
import torch
from torch.nn.functional import mse_loss
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from regression_lib import EnsembleNet, RegressionNet, optimizers
from regression_lib.optimizers import SCHEDULES, Average, Descent

X, Y = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)), torch.ones(40, 1)
PEERS = {
    "adamw": lambda p, lr: AdamW(p, lr=lr, weight_decay=0.1),
    "adam": lambda p, lr: Adam(p, lr=lr, weight_decay=0.1),
    "sgd": lambda p, lr: SGD(p, lr=lr, weight_decay=0.1, momentum=0.9, nesterov=True),
}


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("name", PEERS)
def test_steps_are_those_of_torch(name):
    net = RegressionNet(3, hidden=(8, 8)).double()
    peer = copy.deepcopy(net)
    descent, optimizer = Descent(net, name, 0.05, 0.1), PEERS[name](peer.parameters(), 0.05)
    for step in range(6):
        descent.gradient.zero_()
        mse_loss(net.standardized(X.double()), Y.double()).backward()
        descent.step(0.5 if step == 3 else 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 0.025 if step == 3 else 0.05
        optimizer.zero_grad()
        mse_loss(peer.standardized(X.double()), Y.double()).backward()
        optimizer.step()
        torch.testing.assert_close(weights(net), weights(peer), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PEERS)
def test_members_with_rates_of_their_own(name):
    net = EnsembleNet(2, 3, hidden=(8,)).double()
    peers, rates = list(net), [0.001, 0.1]
    descent = Descent(net, name, rates, 0.1)
    optimizers = [PEERS[name](p.parameters(), lr) for p, lr in zip(peers, rates, strict=True)]
    for _ in range(5):
        descent.gradient.zero_()
        (net.standardized(X.double()) - 1).square().mean((1, 2)).sum().backward()
        descent.step()
        for peer, optimizer in zip(peers, optimizers, strict=True):
            optimizer.zero_grad()
            mse_loss(peer.standardized(X.double()), Y.double()).backward()
            optimizer.step()
    for k, peer in enumerate(peers):
        torch.testing.assert_close(weights(net[k]), weights(peer), rtol=1e-9, atol=1e-12)


def test_windows_while_it_lives_and_tensors_of_their_own_after():
    net = RegressionNet(3, hidden=(4,))
    before = weights(net)
    descent = Descent(net, "adamw", 0.1, 0.0)
    assert torch.equal(weights(net), before)
    descent.weights.zero_()
    assert not weights(net).any()
    descent.release()
    storages = {p.untyped_storage().data_ptr() for p in net.parameters()}
    assert len(storages) == len(list(net.parameters()))
    assert all(p.grad is None for p in net.parameters())


def test_frozen_weights_stay():
    net = RegressionNet(3, hidden=(4, 4))
    for parameter in net.layers[0].parameters():
        parameter.requires_grad_(False)
    first, head = net.layers[0].linear.weight.clone(), net.head.weight.clone()
    descent = Descent(net, "adamw", 0.1, 0.1)
    mse_loss(net.standardized(X), Y).backward()
    descent.step()
    assert torch.equal(net.layers[0].linear.weight, first)
    assert not torch.equal(net.head.weight, head)


def test_nothing_to_train():
    net = RegressionNet(3).requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        Descent(net, "adamw", 0.1, 0.1)


@pytest.mark.parametrize("name", ["adamw", "adam"])
@pytest.mark.parametrize("kind", ["gone", "of other arguments", "of another step", "as it is"])
def test_a_private_name_is_used_only_while_it_does_the_public_step(name, kind, monkeypatch):
    bare = optimizers.BARE[name]
    kinds = {
        "gone": None,
        "of other arguments": lambda weights, gradients: None,
        "of another step": lambda *tensors, lr, **how: bare(*tensors, lr=2 * lr, **how),
        "as it is": bare,
    }
    monkeypatch.setitem(optimizers.BARE, name, kinds[kind])
    optimizers._rule_of.cache_clear()
    assert isinstance(optimizers._rule_of(name), partial) == (kind != "as it is")
    test_steps_are_those_of_torch(name)
    optimizers._rule_of.cache_clear()


@pytest.mark.parametrize("n_steps", [2, 3, 4, 7, 10, 100, 1001])
def test_schedules_are_those_of_torch(n_steps):
    def rates(make):
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        scheduler, rates = make(optimizer), []
        for _ in range(n_steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < n_steps:
                scheduler.step()
        return rates

    one_cycle = rates(lambda o: OneCycleLR(o, 1.0, total_steps=n_steps))
    cosine = rates(lambda o: CosineAnnealingLR(o, T_max=n_steps))
    for name, expected in [("one_cycle", one_cycle), ("cosine", cosine)]:
        mine = [SCHEDULES[name](step, n_steps) for step in range(n_steps)]
        assert mine == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert SCHEDULES["constant"](5, 10) == 1


def test_a_single_step_is_a_whole_one():
    # PyTorch's one-cycle would take it at 4e-6 of the rate.
    assert SCHEDULES["one_cycle"](0, 1) == 1


class TestAverage:
    def test_at_first_the_mean_of_all_that_was_seen_later_older_ones_fade(self):
        weights = torch.zeros(3)
        average = Average([weights], n_steps=16)
        for step in range(16):
            weights.fill_(step)
            average.see(step)
        torch.testing.assert_close(average.means[0], torch.full((3,), 7.5))
        weights.fill_(100)
        average.see(16)
        torch.testing.assert_close(average.means[0], torch.full((3,), 7.5 + (100 - 7.5) / 16))

    def test_it_looks_sixteen_times_in_its_span(self):
        weights, seen = torch.zeros(1), []
        average = Average([weights], n_steps=1600)
        for step in range(300):
            weights.fill_(step)
            before = average.means[0].clone()
            average.see(step)
            seen += [step] if step and not torch.equal(before, average.means[0]) else []
        assert seen == [100, 200]

    def test_means_stand_in_and_go_even_after_an_error(self):
        weights = torch.ones(2)
        average = Average([weights], n_steps=1)
        weights.fill_(5)

        def fail_within():
            with average.instead():
                assert torch.equal(weights, torch.ones(2))
                raise RuntimeError("within")

        with pytest.raises(RuntimeError, match="within"):
            fail_within()
        assert torch.equal(weights, torch.full((2,), 5.0))
