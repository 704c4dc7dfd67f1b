"""The training loop, on one page.

Small networks spend their time in the framework, not in arithmetic, so the loop slices one
shuffled tensor instead of asking a DataLoader for rows, and the optimiser is a fused one.
"""

import hashlib
import io
import math
import time
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, OneCycleLR

from regression_lib.checks import as_matrix
from regression_lib.data import Dataset
from regression_lib.network import evaluating, write_whole
from regression_lib.progress import known_kind, track

OPTIMIZERS = {
    "adamw": lambda p, lr, decay: AdamW(p, lr=lr, weight_decay=decay, fused=True),
    "adam": lambda p, lr, decay: Adam(p, lr=lr, weight_decay=decay, fused=True),
    "sgd": lambda p, lr, decay: SGD(p, lr=lr, weight_decay=decay, momentum=0.9, nesterov=True),
}
SCHEDULES = {
    "one_cycle": lambda o, lr, steps: OneCycleLR(o, lr, total_steps=steps, cycle_momentum=False),
    "cosine": lambda o, lr, steps: CosineAnnealingLR(o, T_max=steps),
    "constant": lambda o, lr, steps: ConstantLR(o, factor=1.0),
}


@dataclass
class History:
    """What happened in a training: one row an epoch, and how it ended.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns `epoch`, `train_loss`, `validation_loss` (NaN without validation rows), `lr` (of
        the epoch's last step) and `seconds` (of the epoch). Losses are mean squared errors of
        the standardised targets: predicting the mean scores 1.
    stopped : {"finished", "early", "interrupted"}
        All epochs; no better validation loss for `patience` epochs; Ctrl-C.
    """

    rows: list = field(default_factory=list, repr=False)
    stopped: str = "finished"

    @property
    def frame(self):
        columns = ["epoch", "train_loss", "validation_loss", "lr", "seconds"]
        return pd.DataFrame(self.rows, columns=columns)

    @property
    def best_epoch(self):
        """The epoch whose weights the network has: the lowest validation loss, else the last."""
        if not self.rows:
            return 0
        losses = self.frame.set_index("epoch")["validation_loss"]
        return int(losses.index[-1] if losses.isna().all() else losses.idxmin())

    def plot(self, ax=None):
        """Both losses against the epoch, the best epoch marked."""
        from regression_lib.plots import plot_history

        return plot_history(self, ax=ax)

    def __repr__(self):
        if not self.rows:
            return f"History(0 epochs, {self.stopped})"
        best = self.frame.set_index("epoch").loc[self.best_epoch]
        return (
            f"History({len(self.rows)} epochs, {self.stopped}; epoch {self.best_epoch}: train "
            f"loss {best.train_loss:.4f}, validation loss {best.validation_loss:.4f})"
        )

    def _repr_html_(self):
        last = self.frame.tail(3).to_html(index=False, float_format="{:.4g}".format)
        return f"<p>{escape(repr(self))}</p>{last}"


def fit(
    net,
    X,
    y=None,
    *,
    validation=None,
    epochs=30,
    batch_size=256,
    lr=3e-3,
    schedule="one_cycle",
    optimizer="adamw",
    weight_decay=0.01,
    patience=None,
    progress=False,
    checkpoint=None,
    resume=False,
    seed=0,
    device=None,
):
    """Train a network to the smallest mean squared error, and keep its best weights.

    Parameters
    ----------
    net : RegressionNet
        Trained in place, and left in eval mode on `device`.
    X : Dataset, frame, array or tensor, shape (n_rows, n_features)
        A `Dataset` brings its targets, names and units with it; `y` is then left out.
    y : frame, array or tensor, shape (n_rows, n_targets)
    validation : Dataset, (X, y) pair, fraction of the rows, or None
        Rows to judge by; with them the weights of the best epoch are kept.
    epochs, batch_size : int
    lr : float
        The learning rate; with "one_cycle" the highest that it reaches.
    schedule : {"one_cycle", "cosine", "constant"}
        One-cycle: Smith & Topin (2017), arXiv:1708.07120.
    optimizer : {"adamw", "adam", "sgd"}
        AdamW: Loshchilov & Hutter (2017), arXiv:1711.05101.
    weight_decay : float
    patience : int, optional
        Stop after so many epochs without a better validation loss.
    progress : bool or {"auto", "rich", "tqdm", "plain", "none"}
    checkpoint : path, optional
        Written after each epoch, whole or not at all.
    resume : bool
        Go on from `checkpoint` if it is there, to the very weights that an uninterrupted
        training would reach.
    seed : int
        Of the shuffling and of a validation fraction.
    device : str, optional
        "cpu", "cuda", "mps"; by default where the network is.

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        For input that cannot be trained on, with its place and the cure.
    FloatingPointError
        When a loss becomes NaN or infinite; the network keeps its best weights so far.

    Notes
    -----
    Ctrl-C ends the training with the best weights so far; `History.stopped` says so.

    Small networks train fastest on one thread, above all on a busy machine:
    ``torch.set_num_threads(1)`` before the first training.
    """
    options = _checked(epochs, batch_size, lr, schedule, optimizer, weight_decay, patience, seed)
    progress = known_kind(progress)
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=path, the file to go on from")
    if patience is not None and validation is None:
        raise ValueError(f"patience={patience} needs validation rows to judge by")
    if batch_size == 1 and net.uses_batch_statistics:
        raise ValueError("batch_size=1: BatchNorm needs two rows or more in train mode")
    train, valid = _rows(net, X, y, validation, seed, _device(net, device))
    run = _Run(net, train, valid, options)
    if resume and Path(checkpoint).exists():
        run.resume(checkpoint)

    history, best = run.history, run.best
    left = range(len(history.rows) + 1, epochs + 1)
    if patience is not None and best.age >= patience:  # resumed after it had stopped early
        left, history.stopped = (), "early"
    try:
        for epoch in track(left, "Training", kind=progress, status=run.status):
            run.train_one(epoch)
            if checkpoint is not None:
                run.save(checkpoint)
            if patience is not None and best.age >= patience:
                history.stopped = "early"
                break
    except KeyboardInterrupt:
        history.stopped = "interrupted"
    finally:
        best.restore(net)
    return history


class _Best:
    """The weights of the epoch with the lowest validation loss (without one: of the last)."""

    def __init__(self, net):
        self.loss, self.age = math.inf, 0
        self.weights = _copy(net)

    def see(self, net, loss):
        if math.isnan(loss) or loss < self.loss:
            self.loss, self.age, self.weights = loss, 0, _copy(net)
        else:
            self.age += 1

    def restore(self, net):
        net.load_state_dict(self.weights)
        net.eval()


class _Run:
    """One training: all that changes from epoch to epoch, and so all that a checkpoint holds."""

    def __init__(self, net, train, valid, options):
        self.net, self.train, self.valid, self.options = net, train, valid, options
        self.batch_size = options["batch_size"]
        steps = options["epochs"] * len(self._sizes())
        lr, decay = options["lr"], options["weight_decay"]
        self.optimizer = OPTIMIZERS[options["optimizer"]](net.parameters(), lr, decay)
        self.schedule = SCHEDULES[options["schedule"]](self.optimizer, lr, steps)
        self.shuffle = torch.Generator().manual_seed(options["seed"])
        self.history, self.best = History(), _Best(net)

    def _sizes(self):
        """The batches' sizes; BatchNorm cannot train on one row, so a last such batch goes."""
        n_rows, size = len(self.train[0]), self.batch_size
        sizes = [size] * (n_rows // size) + [n_rows % size] * (n_rows % size > 0)
        return sizes[:-1] if sizes[-1] == 1 and self.net.uses_batch_statistics else sizes

    def train_one(self, epoch):
        """One pass over the training rows in a new order, then the validation rows."""
        start, x, y = time.perf_counter(), *self.train
        order = torch.randperm(len(x), generator=self.shuffle).to(x.device)
        sizes, total = self._sizes(), 0.0
        order = order[: sum(sizes)]
        self.net.train()
        for x_batch, y_batch in zip(x[order].split(sizes), y[order].split(sizes), strict=True):
            loss = torch.nn.functional.mse_loss(self.net.standardized(x_batch), y_batch)
            value = loss.item()
            self._stop_if_diverged(value, "training", epoch)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            lr = self.optimizer.param_groups[0]["lr"]
            self.schedule.step()
            total += value * len(x_batch)
        valid_loss = self._validation_loss(epoch)
        self.best.see(self.net, valid_loss)
        seconds = time.perf_counter() - start
        self.history.rows.append((epoch, total / len(order), valid_loss, lr, seconds))

    def _validation_loss(self, epoch):
        if self.valid is None:
            return math.nan
        x, y = self.valid
        with evaluating(self.net), torch.no_grad():
            parts = [
                torch.nn.functional.mse_loss(self.net.standardized(a), b, reduction="sum").item()
                for a, b in zip(x.split(65536), y.split(65536), strict=True)
            ]
        return self._stop_if_diverged(sum(parts) / y.numel(), "validation", epoch)

    def _stop_if_diverged(self, loss, which, epoch):
        if not math.isfinite(loss):
            lr = self.optimizer.param_groups[0]["lr"]
            raise FloatingPointError(
                f"the {which} loss became {loss} in epoch {epoch} at lr {lr:.3g}: try a smaller "
                f"lr (a tenth is {self.options['lr'] / 10:.3g}), look for extreme values in X "
                f"and y, or leave standardize=True"
            )
        return loss

    def status(self):
        if not self.history.rows:
            return ""
        _, train_loss, valid_loss, *_ = self.history.rows[-1]
        shown = f"train {train_loss:.4f}"
        return shown if self.valid is None else f"{shown}, validation {valid_loss:.4f}"

    def save(self, path):
        state = {
            "format": "regression_lib checkpoint 1",
            "task": self._task(),
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "shuffle": self.shuffle.get_state(),
            "best": vars(self.best),
            "rows": self.history.rows,
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_whole(path, content.getvalue())

    def resume(self, path):
        """Take up the state in a checkpoint of this very task: same options, network and rows."""
        try:
            state = torch.load(path, weights_only=True, map_location=self.train[0].device)
            task = state["task"]
        except Exception as error:  # torch raises many kinds for a file that is not its own
            raise ValueError(f"{path} is not a checkpoint of fit: {error}") from error
        mine = self._task()
        other = [name for name in mine if mine[name] != task.get(name)]
        if other:
            was = ", ".join(f"{name}={task.get(name)!r} (now {mine[name]!r})" for name in other)
            raise ValueError(f"{path} is of another training: {was}; resume with the same")
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.shuffle.set_state(state["shuffle"].cpu())
        vars(self.best).update(state["best"])
        self.history.rows.extend(tuple(row) for row in state["rows"])

    def _task(self):
        rows = [*self.train, *(self.valid or ())]
        digest = hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in rows)).hexdigest()
        return {**self.options, "network": repr(self.net.config), "rows": digest[:16]}


def _rows(net, X, y, validation, seed, device):
    """Checked and standardised tensors on the device: (x, y) to train on, (x, y) to judge by."""
    # Loaded when used: scikit-learn takes longer to import than the rest of the library.
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    names = targets = None
    units = {}
    if isinstance(X, Dataset):
        if y is not None:
            raise TypeError("a Dataset brings its own targets: leave y out")
        names, targets, units = X.feature_names, X.target_names, X.units
        X, y = X.X, X.y
    elif hasattr(X, "columns") and all(isinstance(name, str) for name in X.columns):
        names = tuple(X.columns)
    x, y = _matrices(net, X, y, "", names)
    held_out = None
    if isinstance(validation, (float, int)) and not isinstance(validation, bool):
        if not 0 < validation < 1:
            raise ValueError(f"validation as a fraction must be in (0, 1), got {validation}")
        x, x_held, y, y_held = train_test_split(x, y, test_size=validation, random_state=seed)
        held_out = x_held, y_held
    elif validation is not None:
        pair = (validation.X, validation.y) if isinstance(validation, Dataset) else validation
        held_out = _matrices(net, *pair, "validation ", names)
    if net.uses_batch_statistics and len(x) < 2:
        raise ValueError("one row to train on: BatchNorm needs two rows or more in train mode")
    net.to(device)
    if net.config["standardize"]:
        for scaler, values in [(net.x_scaler, x), (net.y_scaler, y)]:
            statistics = StandardScaler().fit(values)
            scaler.set(statistics.mean_, statistics.scale_)
    net.feature_names, net.target_names, net.units = names, targets, units
    return tuple(_to_tensors(net, *pair) if pair else None for pair in [(x, y), held_out])


def _matrices(net, X, y, which, names):
    """X and y as float matrices that fit the network, or an error that says which does not."""
    n_features, n_targets = net.config["n_features"], net.config["n_targets"]
    if y is None:
        raise TypeError(f"{which}y is missing: pass the targets, or a Dataset as X")
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    if len(shape) == 1:
        raise ValueError(
            f"{which}y has shape ({shape[0]},), the network's output ({shape[0]}, {n_targets}): "
            f"subtracting them would pair every row with every other; pass y.reshape(-1, 1), "
            f"or y.to_frame() of a Series"
        )
    known = names if names is not None and len(names) == n_features else n_features
    x = as_matrix(X, f"{which}X", columns=known)
    y = as_matrix(y, f"{which}y", columns=n_targets)
    if len(x) != len(y):
        raise ValueError(f"{which}X has {len(x)} rows, {which}y has {len(y)}: they must agree")
    return x, y


def _to_tensors(net, x, y):
    weight = net.head.weight
    x, y = (torch.as_tensor(values).to(weight) for values in (x, y))
    return net.x_scaler(x), net.y_scaler(y)


def _device(net, name):
    """The device by that name, if this machine has it; without a name, where the network is."""
    if name is None:
        return net.head.weight.device
    here = ["cpu"]
    here += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    here += ["mps"] if torch.backends.mps.is_available() else []
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"unknown device {name!r}; here there are: {', '.join(here)}") from error
    full = "cuda:0" if str(device) == "cuda" else str(device)
    if full not in here and device.type not in [h for h in here if ":" not in h]:
        raise ValueError(f"device {name!r} is not on this machine; here: {', '.join(here)}")
    return device


def _copy(net):
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _checked(epochs, batch_size, lr, schedule, optimizer, weight_decay, patience, seed):
    """The options as a dict, or an error that names the wrong one and its value."""
    for name, value in [("epochs", epochs), ("batch_size", batch_size), ("patience", patience)]:
        if value is None and name == "patience":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    for name, value in [("lr", lr), ("weight_decay", weight_decay)]:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if not (0 < lr < math.inf):
        raise ValueError(f"lr must be positive and finite, got {lr}; 3e-3 is a good start")
    if not (0 <= weight_decay < math.inf):
        raise ValueError(f"weight_decay must be zero or more, got {weight_decay}")
    for name, value, known in [
        ("schedule", schedule, SCHEDULES),
        ("optimizer", optimizer, OPTIMIZERS),
    ]:
        if value not in known:
            raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
    return {
        "epochs": int(epochs),
        "batch_size": int(batch_size),
        "lr": float(lr),
        "schedule": schedule,
        "optimizer": optimizer,
        "weight_decay": float(weight_decay),
        "patience": patience,
        "seed": int(seed),
    }
