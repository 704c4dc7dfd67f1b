"""One training, written as each library would have it: the peers of benchmarks/speed.py.

A peer is made from a `Setting`, which builds its network, and has one method::

    train(X, y, epochs, validation=None) -> Losses

X and y are standardised float32 arrays, (n_rows, n_features) and (n_rows, 1). Every peer visits
all rows once an epoch in a new order, in batches of the same size, with the same layers, and
records the training loss of each epoch, after which it judges the validation rows if there are
any, in its own library's way. A library is imported when its peer is made, so that one that is
missing costs its own row and no other.
"""

import logging
import os
import tempfile
import warnings
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.optim import Adam, AdamW
from torch.utils.data import DataLoader, TensorDataset


class Setting(NamedTuple):
    """What is trained, and how."""

    hidden: tuple = (64, 64, 64)
    batch_norm: bool = True
    n_features: int = 17
    batch_size: int = 64
    lr: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0

    def __str__(self):
        shape = f"{len(self.hidden)} × {self.hidden[0]}"
        rows = "" if self.batch_size == Setting().batch_size else f", batches of {self.batch_size}"
        return f"{shape} {'with' if self.batch_norm else 'without'} BatchNorm{rows}"


class Losses(NamedTuple):
    """Mean squared errors, one an epoch; no validation losses without validation rows."""

    train: list
    validation: list


def plain_network(setting):
    """Linear → BatchNorm → ReLU, repeated, and a linear head, as one writes it in PyTorch."""
    torch.manual_seed(setting.seed)
    layers = []
    for n_in, n_out in pairwise([setting.n_features, *setting.hidden]):
        # BatchNorm subtracts a bias again, so none is trained before it; ours does the same.
        layers.append(nn.Linear(n_in, n_out, bias=not setting.batch_norm))
        if setting.batch_norm:
            layers.append(nn.BatchNorm1d(n_out))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(setting.hidden[-1], 1))


class Peer:
    """A network by PyTorch alone, and the loop that a subclass writes for it."""

    def __init__(self, setting):
        self.setting = setting
        self.net = plain_network(setting)

    def judge(self, validation):
        """The validation loss, in a list, or an empty one without validation rows."""
        if validation is None:
            return []
        x, y = map(torch.from_numpy, validation)
        self.net.eval()
        with torch.no_grad():
            return [mse_loss(self.net(x), y).item()]


class Ours(Peer):
    """`regression_lib.fit`."""

    def __init__(self, setting):
        from regression_lib import RegressionNet

        self.setting = setting
        options = {"hidden": setting.hidden, "batch_norm": setting.batch_norm}
        self.net = RegressionNet(setting.n_features, 1, **options, seed=setting.seed)

    def train(self, X, y, epochs, validation=None):
        from regression_lib import fit

        s = self.setting
        options = {"batch_size": s.batch_size, "lr": s.lr, "weight_decay": s.weight_decay}
        options |= {"schedule": "constant", "optimizer": "adamw", "seed": s.seed}
        frame = fit(self.net, X, y, validation=validation, epochs=epochs, **options).frame
        return Losses(list(frame["train_loss"]), list(frame["validation_loss"].dropna()))


class PostFullBatch(Peer):
    """The loop of the post as it stands: all rows at once, Adam, one step an epoch."""

    def train(self, X, y, epochs, validation=None):
        x, y = torch.from_numpy(X), torch.from_numpy(y)
        optimizer, losses = Adam(self.net.parameters(), lr=self.setting.lr), Losses([], [])
        for _ in range(epochs):
            self.net.train()
            loss = mse_loss(self.net(x), y)
            losses.train.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.validation.extend(self.judge(validation))
        return losses


class PostBatches(Peer):
    """The same five lines over small batches, which is what the post says of its data."""

    def train(self, X, y, epochs, validation=None):
        x, y = torch.from_numpy(X), torch.from_numpy(y)
        optimizer, losses = Adam(self.net.parameters(), lr=self.setting.lr), Losses([], [])
        for _ in range(epochs):
            self.net.train()
            total = 0.0
            for rows in torch.randperm(len(x)).split(self.setting.batch_size):
                loss = mse_loss(self.net(x[rows]), y[rows])
                total += loss.item() * len(rows)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            losses.train.append(total / len(x))
            losses.validation.extend(self.judge(validation))
        return losses


class Loader(Peer):
    """The loop of most tutorials: a DataLoader and AdamW with PyTorch's defaults."""

    def train(self, X, y, epochs, validation=None):
        s = self.setting
        optimizer = AdamW(self.net.parameters(), lr=s.lr, weight_decay=s.weight_decay)
        loader, losses = batches(X, y, s.batch_size), Losses([], [])
        for _ in range(epochs):
            self.net.train()
            total = 0.0
            for x_batch, y_batch in loader:
                optimizer.zero_grad()
                loss = mse_loss(self.net(x_batch), y_batch)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(x_batch)
            losses.train.append(total / len(X))
            losses.validation.extend(self.judge(validation))
        return losses


class Bare(Peer):
    """Nothing left to take away: slices of one shuffled tensor, a fused optimiser, one read."""

    def train(self, X, y, epochs, validation=None):
        s, x, y = self.setting, torch.from_numpy(X), torch.from_numpy(y)
        options = {"lr": s.lr, "weight_decay": s.weight_decay, "fused": True}
        optimizer, losses = AdamW(self.net.parameters(), **options), Losses([], [])
        for _ in range(epochs):
            self.net.train()
            order, total = torch.randperm(len(x)), torch.zeros(())
            parts = x[order].split(s.batch_size), y[order].split(s.batch_size)
            for x_batch, y_batch in zip(*parts, strict=True):
                loss = mse_loss(self.net(x_batch), y_batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(x_batch)
            losses.train.append(total.item() / len(x))
            losses.validation.extend(self.judge(validation))
        return losses


class Skorch(Peer):
    """skorch's NeuralNetRegressor with no callback but the one that records the loss."""

    def __init__(self, setting):
        import skorch.helper

        super().__init__(setting)
        self.skorch = skorch

    def train(self, X, y, epochs, validation=None):
        s, skorch = self.setting, self.skorch
        options = {"callbacks__print_log": None, "callbacks__epoch_timer": None}
        if validation is None:
            options |= {"train_split": None, "callbacks__valid_loss": None}
        else:
            held_out = skorch.dataset.Dataset(*validation)
            options["train_split"] = skorch.helper.predefined_split(held_out)
            options["iterator_valid__batch_size"] = len(held_out)
        net = skorch.NeuralNetRegressor(
            self.net,
            optimizer=AdamW,
            optimizer__weight_decay=s.weight_decay,
            optimizer__fused=True,
            lr=s.lr,
            batch_size=s.batch_size,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            verbose=0,
            **options,
        )
        history = net.fit(X, y).history
        return Losses(history[:, "train_loss"], history[:, "valid_loss"] if validation else [])


class Lightning(Peer):
    """Lightning's Trainer in its bare-bones mode, which turns off all that it can do without."""

    def __init__(self, setting):
        import lightning

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        super().__init__(setting)
        self.lightning = lightning

    def train(self, X, y, epochs, validation=None):
        loaders = [batches(X, y, self.setting.batch_size)]
        if validation is not None:
            loaders.append(batches(*validation, len(validation[0]), shuffle=False))
        module = self._module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it would like more workers, and says so each time
            self.lightning.Trainer(
                barebones=True, max_epochs=epochs, accelerator="cpu", devices=1
            ).fit(module, *loaders)
        return Losses([total.item() / len(X) for total in module.totals], module.validation)

    def _module(self):
        net, s = self.net, self.setting

        class Module(self.lightning.LightningModule):
            def __init__(self):
                super().__init__()
                self.net, self.totals, self.validation = net, [], []

            def on_train_epoch_start(self):
                self.totals.append(torch.zeros(()))

            def training_step(self, batch, _index):
                loss = mse_loss(self.net(batch[0]), batch[1])
                self.totals[-1] += loss.detach() * len(batch[0])
                return loss

            def validation_step(self, batch, _index):
                self.validation.append(mse_loss(self.net(batch[0]), batch[1]).item())

            def configure_optimizers(self):
                options = {"lr": s.lr, "weight_decay": s.weight_decay, "fused": True}
                return AdamW(self.parameters(), **options)

        return Module()


class Keras(Peer):
    """Keras, with PyTorch doing the arithmetic."""

    def __init__(self, setting):
        os.environ["KERAS_BACKEND"] = "torch"
        # Keras writes a settings file when it is imported; not into the user's home.
        os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())
        import keras

        self.setting, self.keras = setting, keras
        keras.utils.set_random_seed(setting.seed)
        layers = [keras.Input((setting.n_features,))]
        for width in setting.hidden:
            layers.append(self._dense(width, use_bias=not setting.batch_norm))
            if setting.batch_norm:
                layers.append(keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
            layers.append(keras.layers.Activation("relu"))
        self.net = keras.Sequential([*layers, self._dense(1)])
        optimizer = keras.optimizers.AdamW(setting.lr, weight_decay=setting.weight_decay)
        self.net.compile(optimizer=optimizer, loss="mse")

    def _dense(self, width, **options):
        # Weights begin as PyTorch's do, uniform within ± 1/√n_in, so that losses can be compared.
        start = self.keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
        return self.keras.layers.Dense(width, kernel_initializer=start, **options)

    def train(self, X, y, epochs, validation=None):
        options = {"batch_size": self.setting.batch_size, "epochs": epochs, "verbose": 0}
        if validation is not None:
            options |= {"validation_data": validation, "validation_batch_size": len(validation[0])}
        history = self.net.fit(X, y, shuffle=True, **options).history
        return Losses(history["loss"], history.get("val_loss", []))


class Sklearn(Peer):
    """scikit-learn's MLPRegressor: no BatchNorm, and Adam without weight decay."""

    def __init__(self, setting):
        from numpy.random import RandomState
        from sklearn.neural_network import MLPRegressor

        if setting.batch_norm:
            raise ValueError("MLPRegressor has no BatchNorm")
        self.net = MLPRegressor(
            hidden_layer_sizes=setting.hidden,
            batch_size=setting.batch_size,
            learning_rate_init=setting.lr,
            alpha=0.0,  # its decay is in the gradient, and so another one than AdamW's
            random_state=RandomState(setting.seed),
        )

    def train(self, X, y, epochs, validation=None):
        y, losses = y.ravel(), Losses([], [])
        for _ in range(epochs):  # partial_fit is one epoch; fit could stop before the last
            self.net.partial_fit(X, y)
            losses.train.append(2 * self.net.loss_)  # it counts half the squared error
            if validation is not None:
                error = self.net.predict(validation[0]) - validation[1].ravel()
                losses.validation.append(float((error**2).mean()))
        return losses


class ByHand:
    """NumPy and nothing else, for this one network: what is left when nobody asks for anything."""

    def __init__(self, setting):
        if setting.batch_norm:
            raise ValueError("written here without BatchNorm")
        start = [p.detach().numpy() for p in plain_network(setting).parameters()]
        self.setting, self.steps = setting, 0
        self.weights = np.concatenate([part.ravel() for part in start])
        self.gradient, self.momentum, self.square = np.zeros((3, len(self.weights)), np.float32)
        self.layers, self.gradients = (
            self._layers(vector, start) for vector in (self.weights, self.gradient)
        )

    def _layers(self, vector, start):
        """Windows on a vector: a matrix and a row for each layer."""
        ends = np.cumsum([part.size for part in start])[:-1]
        parts = [p.reshape(s.shape) for p, s in zip(np.split(vector, ends), start, strict=True)]
        return list(zip(parts[::2], parts[1::2], strict=True))

    def train(self, X, y, epochs, validation=None):
        random, losses = np.random.default_rng(self.setting.seed), Losses([], [])
        for _ in range(epochs):
            order, total = random.permutation(len(X)), 0.0
            for start in range(0, len(X), self.setting.batch_size):
                rows = order[start : start + self.setting.batch_size]
                total += self._step(X[rows], y[rows]) * len(rows)
            losses.train.append(total / len(X))
            if validation is not None:
                error = self._forward(validation[0])[-1] - validation[1]
                losses.validation.append(float((error**2).mean()))
        return losses

    def _forward(self, x):
        values = [x]
        for weight, bias in self.layers:
            z = values[-1] @ weight.T
            z += bias
            last = len(values) == len(self.layers)
            values.append(z if last else np.maximum(z, 0, out=z))
        return values

    def _step(self, x, y):
        values = self._forward(x)
        error = values[-1] - y
        gradient = error * np.float32(2 / len(x))
        for i in range(len(self.layers) - 1, -1, -1):
            of_weight, of_bias = self.gradients[i]
            np.matmul(gradient.T, values[i], out=of_weight)
            gradient.sum(0, out=of_bias)
            if i > 0:
                gradient = gradient @ self.layers[i][0]
                gradient *= values[i] > 0
        self._adamw()
        return float(np.vdot(error, error)) / len(x)

    def _adamw(self):
        self.steps += 1
        lr, decay = self.setting.lr, self.setting.weight_decay
        self.momentum += 0.1 * (self.gradient - self.momentum)
        self.square += 0.001 * (self.gradient * self.gradient - self.square)
        size = np.sqrt(self.square / (1 - 0.999**self.steps))
        self.weights *= 1 - lr * decay
        self.weights -= lr / (1 - 0.9**self.steps) * self.momentum / (size + 1e-8)


def batches(X, y, size, shuffle=True):
    """A DataLoader in this very process."""
    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    return DataLoader(rows, batch_size=size, shuffle=shuffle, num_workers=0)


OURS = "regression_lib"
FULL_BATCH = "the post's loop, full batch"
PEERS = {
    OURS: Ours,
    "bare loop, fused AdamW": Bare,
    "DataLoader loop": Loader,
    "the post's loop, batches of 64": PostBatches,
    FULL_BATCH: PostFullBatch,
    "skorch, fused AdamW": Skorch,
    "Lightning, fused AdamW": Lightning,
    "Keras on PyTorch": Keras,
    "scikit-learn MLPRegressor": Sklearn,
    "NumPy, by hand": ByHand,
}
WITHOUT_NORM_ALONE = (Sklearn, ByHand)
