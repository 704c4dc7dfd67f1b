"""Dropout: what it does to numbers, and that a training with it can be repeated to the bit."""

import numpy as np
import pytest
import torch

import regression_lib.training as training
from regression_lib import EnsembleNet, RegressionNet, fit, storage
from regression_lib.dropout import Dropout

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3))
Y = X @ [[1.0], [-2.0], [0.5]] + 0.1 * RNG.normal(size=(150, 1))
OPTIONS = {"hidden": (8, 8), "dropout": 0.3}
TRAINING = {"validation": (X[:40] + 0.1, Y[:40]), "epochs": 5, "batch_size": 32, "lr": 0.01}


def net(**options):
    return RegressionNet(3, **(OPTIONS | options))


def many(**options):
    return EnsembleNet(3, 3, **(OPTIONS | options))


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


class TestTheModule:
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
    def test_a_share_is_left_out_and_the_mean_stays(self, share):
        dropout, x = Dropout(share), torch.ones(400, 500)
        dropout.generators = [torch.Generator().manual_seed(0)]
        y = dropout(x)
        assert (y == 0).float().mean().item() == pytest.approx(share, abs=0.005)
        assert y.unique().tolist() == pytest.approx([0, 1 / (1 - share)])
        assert y.mean().item() == pytest.approx(1, abs=0.05)
        assert torch.equal(dropout.eval()(x), x)

    def test_without_a_training_the_global_generator_draws(self):
        dropout, x = Dropout(0.5), torch.ones(20, 20)
        with torch.random.fork_rng():
            torch.manual_seed(3)
            first = dropout(x)
            assert not torch.equal(dropout(x), first)
            torch.manual_seed(3)
            assert torch.equal(dropout(x), first)

    def test_members_share_a_mask_or_have_their_own(self):
        dropout, x = Dropout(0.5), torch.ones(3, 6, 20)
        dropout.generators = [torch.Generator().manual_seed(0)]
        y = dropout(x)
        assert torch.equal(y[0], y[1])
        dropout.generators = [torch.Generator().manual_seed(k) for k in range(3)]
        y = dropout(x)
        assert not torch.equal(y[0], y[1])
        alone = Dropout(0.5)
        alone.generators = [torch.Generator().manual_seed(1)]
        assert torch.equal(y[1].mT, alone(torch.ones(20, 6)))


class TestTraining:
    @pytest.mark.parametrize("by_hand", [True, False])
    @pytest.mark.parametrize("make", [net, many])
    def test_seeds_decide_and_the_global_generator_stays(self, make, by_hand, monkeypatch):
        if not by_hand:
            monkeypatch.setattr(training, "is_written_out", lambda _: False)
        before, found = torch.get_rng_state(), []
        for seed in (1, 1, 2):
            network = make()
            fit(network, X, Y, seed=seed, **TRAINING)
            found.append(weights(network))
            assert all(dropout.generators == [] for dropout in network.dropouts())
        assert torch.equal(found[0], found[1])
        assert not torch.allclose(found[0], found[2], rtol=1e-3)
        assert torch.equal(before, torch.get_rng_state())
        plain = make(dropout=0)
        fit(plain, X, Y, seed=1, **TRAINING)
        assert not torch.allclose(weights(plain), found[0], rtol=1e-3)

    @pytest.mark.parametrize("seeds", [4, [5, 6, 7]])
    def test_members_are_trained_as_alone(self, seeds):
        together = many().double()
        fit(together, X, Y, seed=seeds, **TRAINING)
        for k, member in enumerate(together):
            single = net(seed=k).double()
            fit(single, X, Y, seed=seeds[k] if isinstance(seeds, list) else seeds, **TRAINING)
            torch.testing.assert_close(weights(member), weights(single), rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize("make", [net, many])
    def test_resuming_reaches_the_same_weights_to_the_bit(self, make, tmp_path):
        whole, resumed = make(), make()
        fit(whole, X, Y, **TRAINING)

        def stop(history):
            if len(history) == 2:
                raise StopIteration

        path = tmp_path / "run"
        with pytest.raises(StopIteration):
            fit(make(), X, Y, checkpoint=path, callback=stop, **TRAINING)
        fit(resumed, X, Y, checkpoint=path, resume=True, **TRAINING)
        assert torch.equal(weights(whole), weights(resumed))

    def test_generators_are_given_back_whatever_happens(self):
        network = net()

        def stop(_history):
            assert len(network.layers[0].dropout.generators) == 1
            raise StopIteration

        with pytest.raises(StopIteration):
            fit(network, X, Y, callback=stop, **TRAINING)
        assert network.layers[0].dropout.generators == []

    def test_validation_and_predictions_use_every_unit(self):
        network = net(hidden=(64, 64))
        history = fit(network, X, Y, **(TRAINING | {"epochs": 20}))
        z = (TRAINING["validation"][1] - network.predict(TRAINING["validation"][0])) / (
            network.y_scaler.scale.numpy()
        )
        assert (z**2).mean() == pytest.approx(history.frame.validation_loss.min(), rel=1e-3)
        network.train()
        assert np.array_equal(network.predict(X), network.predict(X))
        assert network.layers[0].dropout.training


class TestTheRest:
    def test_words_and_layers(self):
        assert "dropout 0.3" in repr(net())
        assert "dropout" not in repr(net(dropout=0))
        assert "→ Dropout" in net().summary().layer[1]
        assert net(dropout=0).dropouts() == []

    @pytest.mark.parametrize("share", [-0.1, 1, 1.5, "a", True, None, float("nan")])
    def test_other_shares_are_refused(self, share):
        with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got"):
            net(dropout=share)

    @pytest.mark.parametrize("make", [net, many])
    def test_a_file_keeps_it_and_an_older_one_has_none(self, make, tmp_path):
        network = make()
        network.save(tmp_path / "new")
        again = type(network).load(tmp_path / "new")
        assert again.config == network.config
        assert len(again.dropouts()) == 2
        make(dropout=0).save(tmp_path / "m")
        kind, tensors, about = storage.read_tensors(tmp_path / "m")
        del about["config"]["dropout"]
        storage.write_tensors(tmp_path / "old", kind, tensors, about)
        assert type(network).load(tmp_path / "old").config == make(dropout=0).config
