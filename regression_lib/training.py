"""The training loop, on one page: of one network, or of many at once.

Small networks spend their time in the framework, not in arithmetic, so the loop picks the rows of
a batch by their numbers instead of asking a DataLoader for them, and `Descent` keeps all weights
in one vector.
"""

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from numbers import Real
from pathlib import Path

import numpy as np
import torch

from regression_lib.backprop import Autograd, Backpropagation, is_known, is_written_out
from regression_lib.checks import Column, Table
from regression_lib.data import Dataset
from regression_lib.ensemble import SHARED, EnsembleNet
from regression_lib.history import History, Row
from regression_lib.losses import Loss, loss_of
from regression_lib.network import (
    AT_ONCE,
    RegressionNet,
    check_tensors,
    count_of,
    evaluating,
    seed_of,
)
from regression_lib.optimizers import OPTIMIZERS, SCHEDULES, Average, Descent, Optimizer, Schedule
from regression_lib.progress import Progress, known_kind, track
from regression_lib.rows import Validation, find_device, training_rows
from regression_lib.storage import PathLike, check_writable, read_tensors, write_tensors

CHECKPOINT = "checkpoint of fit"
EMBEDDED = 2**25  # numbers that rows may hold past the embedding, to pass it once: 128 MiB


def fit(
    net: RegressionNet,
    X: Dataset | Table,
    y: Table | None = None,
    *,
    validation: Validation = None,
    sample_weight: Column | None = None,
    loss: Loss = "squared",
    epochs: int = 30,
    batch_size: int = 256,
    lr: float | Sequence[float] | np.ndarray = 3e-3,
    schedule: Schedule = "one_cycle",
    optimizer: Optimizer = "adamw",
    weight_decay: float = 0.01,
    patience: int | None = None,
    weight_average: float | None = None,
    progress: Progress = False,
    callback: Callable[[History], object] | None = None,
    checkpoint: PathLike | None = None,
    resume: bool = False,
    seed: int | Sequence[int] = 0,
    device: str | torch.device | None = None,
) -> History:
    """Train a network, or an ensemble, to the smallest loss; keep its best weights.

    Parameters
    ----------
    net : RegressionNet or EnsembleNet
        Trained in place, and left in eval mode on `device`. Each member of an ensemble is
        trained as it would be alone, and keeps the weights of its own best epoch.
    X : Dataset, frame, array or tensor, shape (n_rows, n_features)
        A `Dataset` brings its targets, names and units with it; `y` is then left out.
    y : frame, array or tensor, shape (n_rows, n_targets), optional
        Left out with a Dataset.
    validation : Dataset, (X, y) pair, fraction of the rows, or None
        Rows to judge by; with them the weights of the best epoch are kept.
    sample_weight : array, shape (n_rows,), optional
        How much each row counts, at least 0; only the weights' ratios matter. A validation
        fraction takes the weights of its rows along.
    loss : {"squared", "absolute", "huber", "quantile"} or ("huber", float)
        What is made small, on average over the rows and the standardised targets: the squared
        error; the absolute one; Huber's (1964), straight beyond ±1 or beyond ± the number that is
        given; of a network with `quantiles` the pinball loss (Koenker & Bassett 1978).
    epochs, batch_size : int
    lr : float, or sequence of float
        The learning rate; with "one_cycle" the highest that it reaches. Of an ensemble, one for
        all members or one for each.
    schedule : {"one_cycle", "cosine", "constant"}
        One-cycle: Smith & Topin (2017), arXiv:1708.07120.
    optimizer : {"adamw", "adam", "sgd"}
        AdamW: Loshchilov & Hutter (2017), arXiv:1711.05101.
    weight_decay : float
    patience : int, optional
        Stop after so many epochs without a better validation loss.
    weight_average : float, optional
        Judge, and keep, the mean of the weights over about so many epochs instead of those of the
        last step (Polyak & Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407).
    progress : bool or {"auto", "rich", "tqdm", "plain", "none"}
    callback : callable, optional
        Called with the `History` after each epoch. What it raises ends the training, and the
        network keeps its best weights so far.
    checkpoint : path, optional
        Written after each epoch, whole or not at all.
    resume : bool
        Go on from `checkpoint` if it is there, to the very weights that an uninterrupted
        training would reach.
    seed : int, or sequence of int
        Of the shuffling and of a validation fraction. With one seed all members of an ensemble
        see the same batches and are judged by the same rows; with one for each member, each has
        batches of its own, and of a validation fraction rows of its own. Between them they then
        train on about all rows, whose scales and bins they share.
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
        When a loss becomes NaN or infinite; the network keeps its best weights so far. Where
        members have learning rates of their own, only when this has happened to all of them.

    Notes
    -----
    Ctrl-C ends the training with the best weights so far; `History.stopped` says so.

    A member of an ensemble whose loss became NaN or infinite keeps the weights of before, and a
    RuntimeWarning names it.

    Small networks train fastest on one thread, above all on a busy machine:
    ``torch.set_num_threads(1)`` before the first training.
    """
    if not isinstance(net, RegressionNet):
        raise TypeError(f"net must be a RegressionNet or an EnsembleNet, got {net!r}")
    learning = epochs, batch_size, lr, schedule, optimizer, weight_decay
    options = _checked(net, *learning, patience, weight_average, seed)
    mean_loss, progress = loss_of(loss, net), known_kind(progress)
    if resume and checkpoint is None:
        raise ValueError("resume=True needs checkpoint=path, the file to go on from")
    if patience is not None and validation is None:
        raise ValueError(f"patience={patience} needs validation rows to judge by")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be a function of the History, got {callback!r}")
    if checkpoint is not None:
        check_writable(checkpoint)
        checkpoint = Path(checkpoint).resolve()  # wherever a callback may go
    how = validation, sample_weight, np.ravel(options["seed"]).tolist(), find_device(net, device)
    with _with_gradients(net):
        rows = training_rows(net, X, y, *how)
        return _train(_Run(net, rows, mean_loss, options), progress, callback, checkpoint, resume)


def _train(run, progress, callback, checkpoint, resume):
    """The epochs that are left, and whatever ends them; the history."""
    try:
        if resume and Path(checkpoint).exists():
            run.resume(checkpoint)
        for epoch in track(run.epochs_left(), "Training", kind=progress, status=run.status):
            run.train_one(epoch)
            if checkpoint is not None:
                run.save(checkpoint)
            if callback is not None:
                callback(run.history)
            if run.best.is_old():
                break
        run.history.stopped = "early" if run.best.is_old() else "finished"
    except KeyboardInterrupt:
        run.history.stopped = "interrupted"
    finally:
        run.end()
    return run.history


@contextmanager
def _with_gradients(net):
    """Gradients, also where the caller has switched them off."""
    with torch.inference_mode(False), torch.enable_grad():
        if any(parameter.is_inference() for parameter in net.parameters()):
            raise ValueError(
                "the network was made under torch.inference_mode(), and PyTorch will not train "
                "it: make it outside"
            )
        yield


class _Best:
    """The weights of the epoch with the lowest validation loss (without one: of the last).

    Each member of an ensemble has its own best epoch, and after `patience` epochs without a
    better one it is no longer looked at, as if it had been trained alone and had stopped.
    """

    def __init__(self, net, n_members, patience):
        members = () if n_members is None else (n_members,)
        self.loss, self.age = torch.full(members, math.inf), torch.zeros(members)
        self.patience = math.inf if patience is None else patience
        self.weights = _copy(net)

    def see(self, net, train_loss, valid_loss):
        if valid_loss is None:  # the last epoch is the best, unless it was the end of a member
            better = train_loss.isfinite()
        else:
            better = (valid_loss < self.loss) & self.looks()
            self.age = torch.where(better, 0, self.age + 1)
            self.loss = torch.where(better, valid_loss, self.loss)
        if not better.any():
            return
        for name, value in net.state_dict().items():
            if better.all():
                self.weights[name].copy_(value)
            elif not name.startswith(SHARED):
                self.weights[name][better] = value[better]

    def looks(self):
        """Whether patience is left: one answer, or one for each member."""
        return self.age < self.patience

    def is_old(self):
        return not self.looks().any()


class _Run:
    """One training: all that changes from epoch to epoch, and so all that a checkpoint holds."""

    def __init__(self, net, rows, loss, options):
        self.net, self.loss, self.options = net, loss, options
        self.train, self.valid, self.own = rows
        self.inputs = _Embedded(net, self.train[0])
        seeds = options["seed"] if isinstance(options["seed"], list) else [options["seed"]]
        self.shuffles = [torch.Generator().manual_seed(seed) for seed in seeds]
        members = len(net) if isinstance(net, EnsembleNet) else None
        self.history = History(n_members=members, loss=loss.name)
        self.best = _Best(net, self.history.n_members, options["patience"])
        # Last, since from here on the network's tensors are windows, until `end`.
        self.descent = Descent(net, options["optimizer"], options["lr"], options["weight_decay"])
        self.average = self._average()
        self.drops = _drops(net, seeds)
        self.passes = _Passes(net, self.descent.gradient)

    def _average(self):
        """Of the weights, and of what batch norms remember of the batches that they have seen."""
        n_epochs, norms = self.options["weight_average"], self.net.batch_norms()
        if n_epochs is None:
            return None
        kept = [part for norm in norms for part in (norm.running_mean, norm.running_var)]
        n_steps = n_epochs * math.ceil(self._n_rows() / self.options["batch_size"])
        return Average([self.descent.weights, *kept], n_steps)

    def _n_rows(self):
        """How many rows are trained on: by each member, where they hold out rows of their own."""
        return len(self.train[0]) if self.own is None else self.own[0].shape[1]

    def epochs_left(self):
        over = self.best.is_old()  # resumed after it had stopped early
        return () if over else range(len(self.history) + 1, self.options["epochs"] + 1)

    def train_one(self, epoch):
        """One pass over the training rows in a new order, then the validation rows."""
        start, batches = time.perf_counter(), self._batches()
        share, n_steps = SCHEDULES[self.options["schedule"]], len(batches) * self.options["epochs"]
        total = torch.zeros(self.best.loss.shape).to(self.train[0])
        n_rows = sum(rows.shape[-1] for rows in batches)
        self.net.train()
        with self.passes.mode():
            for step, rows in enumerate(batches, (epoch - 1) * len(batches)):
                passes = self.passes[rows.shape[-1]]
                predicted = passes.forward(self.inputs[rows])
                rest = (_taken(part, rows) for part in self.train[1:])
                loss, gradient = self.loss(predicted, *rest)
                self._stop_if_diverged(loss, "training", epoch)
                passes.backward(gradient)
                self.descent.step(share(step, n_steps))
                if self.average is not None:
                    self.average.see(step)
                total.add_(loss, alpha=rows.shape[-1] / n_rows)
        with nullcontext() if self.average is None else self.average.instead():
            looked, *losses = self._judge(epoch, total.cpu())
        self._record(epoch, looked, *losses, share(step, n_steps), time.perf_counter() - start)

    def _judge(self, epoch, total):
        """Keep the weights if they are the best so far; who still looked, and both losses."""
        valid_loss = self._validation_loss(epoch)
        if valid_loss is None:  # nobody else would see what the last step has done
            total += self._stop_if_diverged(self._ruined(), "training", epoch)
        looked = self.best.looks()
        self.best.see(self.net, total, valid_loss)
        return looked, total, torch.tensor(math.nan) if valid_loss is None else valid_loss

    def _ruined(self):
        """0, or NaN where a weight is no longer finite: one number, or one for each member."""
        members = self.history.n_members or 1
        largest = [w.detach().reshape(members, -1).abs().amax(1) for w in self.descent.parameters]
        return torch.stack(largest).amax(0).cpu().view(self.best.loss.shape) * 0

    def _batches(self):
        """The rows' numbers in a new order, batch by batch: (n,), or (n_members, n)."""
        n_rows, size = self._n_rows(), self.options["batch_size"]
        orders = [torch.randperm(n_rows, generator=shuffle) for shuffle in self.shuffles]
        order = (torch.stack(orders) if len(orders) > 1 else orders[0]).to(self.train[0].device)
        if self.own is not None:
            order = self.own[0].gather(1, order)
        batches = order.split(size, dim=-1)
        # BatchNorm cannot train on one row, so a last such batch goes.
        alone = batches[-1].shape[-1] == 1 and self.net.uses_batch_statistics
        return batches[:-1] if alone else batches

    def _validation_loss(self, epoch):
        if self.valid is None and self.own is None:
            return None
        total, n_rows = 0, 0
        with evaluating(self.net), torch.no_grad():
            for x, *rest in self._validation_parts():
                total = total + self.loss(self.net.standardized(x), *rest)[0] * x.shape[-2]
                n_rows += x.shape[-2]
        return self._stop_if_diverged(total / n_rows, "validation", epoch).cpu()

    def _validation_parts(self):
        """The rows to judge by, some at a time: the same for all members, or some for each."""
        size = self.net.rows_at_once
        if self.own is None:
            yield from zip(*(part.split(size) for part in self.valid), strict=True)
            return
        for rows in self.own[1].split(size, dim=-1):
            yield [_taken(part, rows) for part in self.train]

    def _stop_if_diverged(self, loss, which, epoch):
        if math.isfinite((loss.sum() if loss.ndim else loss).item()):
            return loss
        lr, finite = self.options["lr"], loss.isfinite()
        if not (finite.any() if isinstance(lr, list) else finite.all()):
            example = lr if isinstance(lr, float) else min(lr)
            raise FloatingPointError(
                f"the {which} loss became {loss[~finite].flatten()[0].item()} in epoch {epoch} "
                f"at lr {example:.3g}: try a smaller lr (a tenth is {example / 10:.3g}), look "
                f"for extreme values in X and y, or leave standardize=True"
            )
        return loss

    def _record(self, epoch, looked, train_loss, valid_loss, share, seconds):
        n = self.history.n_members or 1
        columns = (
            looked,
            train_loss,
            valid_loss,
            torch.tensor(self.options["lr"], dtype=torch.float64) * share,
        )
        members = zip(*(column.expand(n).tolist() for column in columns), strict=True)
        for k, (counts, *numbers) in enumerate(members):
            if counts:
                self.history.rows.append(Row(epoch, k, *numbers, seconds))

    def status(self):
        last = self.history.last()
        if not last:
            return ""
        shown = f"train {np.mean([row.train_loss for row in last]):.4f}"
        if self.valid is None and self.own is None:
            return shown
        return f"{shown}, validation {np.mean([row.validation_loss for row in last]):.4f}"

    def end(self):
        """Leave the network with its best weights, in eval mode, with tensors of its own."""
        self.net.load_state_dict(self.best.weights)
        self.net.eval()
        _lend(self.net, [])
        self.descent.release()
        lost = sorted({r.member for r in self.history.rows if not math.isfinite(r.train_loss)})
        if lost and self.history.n_members is not None:
            warnings.warn(
                f"the loss of members {lost} became NaN or infinite: they have the weights of "
                f"before, and count in the ensemble's mean",
                RuntimeWarning,
                stacklevel=4,
            )

    def save(self, path):
        about = {"task": self.task, "rows": self.history.rows}
        write_tensors(path, CHECKPOINT, self._state(), about)

    def _state(self):
        """All that later steps depend on: the very tensors, so that they can be filled, too."""
        shuffles, drops = (
            {str(k): generator.get_state() for k, generator in enumerate(generators)}
            for generators in (self.shuffles, self.drops)
        )
        parts = {
            "net": self.net.state_dict(),
            "descent": self.descent.state(),
            "best": {"loss": self.best.loss, "age": self.best.age},
            "weights": self.best.weights,
            "shuffles": shuffles,
            "drops": drops,
            "average": dict(enumerate(self.average.means if self.average else [])),
        }
        return {f"{part}.{k}": v for part, values in parts.items() for k, v in values.items()}

    def resume(self, path):
        """Take up the state in a checkpoint of this very task: same options, network and rows."""
        kind, tensors, about = read_tensors(path)
        mine, task = self.task, about.get("task")
        if kind != CHECKPOINT or not isinstance(task, dict):
            raise ValueError(f"{path} is not a checkpoint of fit, but a {kind}")
        other = [name for name in mine if mine[name] != task.get(name)]
        if other:
            was = ", ".join(f"{name}={task.get(name)!r} (now {mine[name]!r})" for name in other)
            raise ValueError(f"{path} is of another training: {was}; resume with the same")
        try:
            self._take_up(tensors, about["rows"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{path} is not a checkpoint of fit: {error}") from error

    def _take_up(self, tensors, rows):
        rows = [Row(*map(_plain_number, row)) for row in rows]
        own = self._state()
        check_tensors(tensors, own)
        for k, shuffle in enumerate(self.shuffles):
            shuffle.set_state(tensors[f"shuffles.{k}"])
        for k, drop in enumerate(self.drops):
            drop.set_state(tensors[f"drops.{k}"])
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.history.rows.extend(rows)

    @cached_property
    def task(self):
        """What is trained on what: a checkpoint is of one task."""
        scales = [
            part for s in (self.net.x_scaler, self.net.y_scaler) for part in (s.mean, s.scale)
        ]
        rows = [*self.train, *(self.valid or ()), *(self.own or ()), *scales]
        digest = hashlib.sha256()
        for part in rows:
            digest.update(part.cpu().contiguous().view(torch.uint8).numpy().data)
        names = [list(names or ()) for names in (self.net.feature_names, self.net.target_names)]
        network = {"network": repr(self.net.config), "names": names}
        return {**self.options, **network, "loss": self.loss.name, "rows": digest.hexdigest()[:16]}


class _Passes(dict):
    """The way through a network and back, by the number of rows in a batch."""

    def __init__(self, net, gradient):
        self.net, self.gradient, self.known = net, gradient, is_written_out(net)

    def mode(self):
        """Where PyTorch has no gradients to find, it need not even look for them."""
        return torch.inference_mode(self.known)

    def __missing__(self, n_rows):
        with torch.inference_mode(False):  # memory for any mode
            self[n_rows] = (
                Backpropagation(self.net, n_rows)
                if self.known
                else Autograd(self.net, self.gradient)
            )
        return self[n_rows]


class _Embedded:
    """Rows that have passed the embedding: all of them beforehand, where there is room for them."""

    def __init__(self, net, x):
        self.x, self.embedding = x, net.embedding if is_known(net) else None
        if self.embedding is not None and len(x) * self.embedding.n_outputs <= EMBEDDED:
            self.x, self.embedding = x.new_empty(len(x), self.embedding.n_outputs), None
            for part, whole in zip(x.split(AT_ONCE), self.x.split(AT_ONCE), strict=True):
                whole.copy_(net.embedding(part))

    def __getitem__(self, rows):
        x = _taken(self.x, rows)
        return x if self.embedding is None else self.embedding(x)


def _taken(values, rows):
    """values[rows], which takes twice as long."""
    return torch.index_select(values, 0, rows.flatten()).view(*rows.shape, values.shape[1])


def _drops(net, seeds):
    """Generators of what dropout leaves out, lent to the network for the training."""
    # Other numbers than those that the same seed gives to the shuffling.
    kinds = [(torch.Generator(net.head.weight.device), 2**32 + seed) for seed in seeds]
    drops = [kind.manual_seed(seed) for kind, seed in kinds] if net.dropouts() else []
    _lend(net, drops)
    return drops


def _lend(net, generators):
    for dropout in net.dropouts():
        dropout.generators = generators


def _plain_number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} stands in its history, where a number should be")
    return value


def _copy(net):
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _checked(
    net,
    epochs,
    batch_size,
    lr,
    schedule,
    optimizer,
    weight_decay,
    patience,
    weight_average,
    seed,
):
    """The options as a dict, or an error that names the wrong one and its value."""
    members = len(net) if isinstance(net, EnsembleNet) else None
    if batch_size == 1 and net.uses_batch_statistics:
        raise ValueError("batch_size=1: BatchNorm needs two rows or more in train mode")
    for name, value, known in [
        ("schedule", schedule, SCHEDULES),
        ("optimizer", optimizer, OPTIMIZERS),
    ]:
        if not isinstance(value, str) or value not in known:
            raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(known)}")
    if not (0 <= _number("weight_decay", weight_decay) < math.inf):
        raise ValueError(f"weight_decay must be zero or more, got {weight_decay}")
    if weight_average is not None and not 0 < _number("weight_average", weight_average) < math.inf:
        raise ValueError(f"weight_average must be a number of epochs or None, got {weight_average}")
    return {
        "epochs": count_of("epochs", epochs),
        "batch_size": count_of("batch_size", batch_size),
        "lr": _for_members("lr", lr, members, _rate),
        "schedule": schedule,
        "optimizer": optimizer,
        "weight_decay": float(weight_decay),
        "patience": None if patience is None else count_of("patience", patience),
        "weight_average": None if weight_average is None else float(weight_average),
        "seed": _for_members("seed", seed, members, seed_of),
    }


def _for_members(name, value, members, check):
    """One checked value, or a list of one for each member of an ensemble."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return check(value)
    if members is None or len(value) != members:
        whose = "one network" if members is None else f"{members} members"
        raise ValueError(f"{name} has {len(value)} values for {whose}")
    return [check(v.item() if hasattr(v, "item") else v) for v in value]


def _rate(lr):
    if not (0 < _number("lr", lr) < math.inf):
        raise ValueError(f"lr must be positive and finite, got {lr}; 3e-3 is a good start")
    return float(lr)


def _number(name, value):
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return value
