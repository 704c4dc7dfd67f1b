"""Usual wrong answers: for each what it turns into what, the cells that it loses, and the hints.

A wrong answer is the model solution with a few strings replaced, so it stays wrong in one way only.
"""

from typing import NamedTuple


class Wrong(NamedTuple):
    """A wrong answer of a solution cell, and what it must lose, with a piece of each hint."""

    name: str
    cell: str
    swaps: list[tuple[str, str]]
    loses: dict[str, str]
    may_lose: tuple[str, ...] = ()  # where a threshold is near


PS1 = [
    Wrong(
        "number type left as in the table",
        "table-code",
        [("torch.tensor(table.to_numpy(), dtype=torch.float32)", "torch.tensor(table.to_numpy())")],
        {"table-test": "computes in torch.float32"},
    ),
    Wrong(
        "one column squeezed to (n,)",
        "table-code",
        [("dtype=torch.float32)", "dtype=torch.float32).squeeze(1)")],
        {"table-test": "one column is still a table"},
    ),
    Wrong(
        "means over the columns",
        "broadcast-code",
        [("x.mean(0)", "x.mean(1)"), ("(x - mean)", "(x - mean.mean())")],
        {"broadcast-test": "one mean and one sd for each column"},
    ),
    Wrong(
        "means of rows where the table is square",
        "broadcast-code",
        [("x.mean(0)", "x.mean(1 if len(x) == x.shape[1] else 0)")],
        {"broadcast-test": "these are means of rows"},
    ),
    Wrong(
        "unbiased sd",
        "broadcast-code",
        [(", correction=0", "")],
        {"broadcast-test": "divides by n - 1"},
    ),
    Wrong(
        "(n,) target, the trap",
        "loss-code",
        [("target.reshape(output.shape)", "target")],
        {"loss-test": "is taken for a row"},
    ),
    Wrong(
        "any number of targets is stretched",
        "loss-code",
        [("target.numel() != len(output)", "False"), ("reshape(output.shape)", "reshape(-1, 1)")],
        {"loss-test": "stretched silently"},
    ),
    Wrong(
        "a loss without memory",
        "loss-code",
        [(".mean()", ".mean().detach()")],
        {"loss-test": "backward() can start from"},
    ),
    Wrong(
        "no factor 2",
        "hand-code",
        [("2 * x.T", "x.T")],
        {"hand-test": "brings a factor 2"},
    ),
    Wrong(
        "slope of the sum",
        "hand-code",
        [(" / len(x)", "")],
        {"hand-test": "slope of the sum"},
    ),
    Wrong(
        "sign turned",
        "hand-code",
        [("x @ w + b - y", "y - x @ w - b")],
        {"hand-test": "the sign is turned"},
    ),
    Wrong(
        "gradients pile up in the caller's tensor",
        "autograd-code",
        [("w.detach().clone().requires_grad_()", "w.requires_grad_()")],
        {"autograd-test": "twice the slope"},
    ),
    Wrong(
        "the caller's tensor is changed",
        "autograd-code",
        [("w.detach().clone()", "w"), ("loss_of(point)", "point.grad = None\n    loss_of(point)")],
        {"autograd-test": "came back with it"},
    ),
    Wrong(
        "layers in plain lists",
        "module-code",
        [
            ("nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))", "[]"),
            (
                "self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth))",
                "self.linears += [nn.Linear(a, b) for a, b in pairwise(widths)]\n"
                "        self.norms = [nn.BatchNorm1d(width) for _ in range(depth)]",
            ),
        ],
        {"module-layers": "plain list", "module-buffers": "plain list"},
    ),
    Wrong(
        "constants as parameters",
        "module-code",
        [
            ('self.register_buffer("mean", mean)', "self.mean = nn.Parameter(mean)"),
            ('self.register_buffer("sd", sd)', "self.sd = nn.Parameter(sd)"),
        ],
        {"module-layers": "counted as parameters", "module-buffers": "is not an nn.Parameter"},
    ),
    Wrong(
        "constants as plain attributes",
        "module-code",
        [('self.register_buffer("mean", mean)', "self.mean = mean")],
        {"module-buffers": "not in the state_dict"},
    ),
    Wrong(
        "buffers kept and not used",
        "module-code",
        [("(x - self.mean) / self.sd", "x")],
        {"module-buffers": "of (x - mean) / sd"},
    ),
    Wrong(
        "the whole network in the file",
        "save-code",
        [
            ("net.state_dict(), path", "net, path"),
            ("weights_only=True)", "weights_only=False).state_dict()"),
        ],
        {"save-test": "not the whole network"},
    ),
    Wrong(
        "code in a file runs",
        "save-code",
        [("weights_only=True", "weights_only=False")],
        {"save-test": "needs weights_only=True"},
    ),
    Wrong(
        "loaded in train mode",
        "save-code",
        [("net.eval()", "net.train()")],
        {"save-test": "should be in eval mode"},
    ),
    Wrong(
        "eval() forgotten",
        "one-code",
        [("net.eval()(row)", "net(row)")],
        {"one-test": "one row has no variance"},
    ),
    Wrong(
        "eval() dodged by a second row",
        "one-code",
        [("net.eval()(row).item()", "net(torch.cat([row, row + 1]))[0].item()")],
        {"one-test": "eval() was forgotten"},
    ),
    Wrong(
        "left in eval mode",
        "one-code",
        [("    net.train(training)\n", "")],
        {"one-test": "came back in eval mode"},
    ),
]

UNROOTED = ("torch.sqrt(var + eps)", "(torch.sqrt(var) + eps)")
PS2 = [
    Wrong(
        "exponentials that overflow",
        "bend-code",
        [("np.where(x >= 0, 1, small) / (1 + small)", "np.exp(x) / (1 + np.exp(x))")],
        {"bend-test": "gives inf or nan for a huge input"},
    ),
    Wrong(
        "softplus by its formula",
        "bend-code",
        [("np.maximum(x, 0) + np.log1p(small)", "np.log(1 + np.exp(x))")],
        {"bend-test": "softplus gives inf or nan"},
    ),
    Wrong(
        "slope of silu without the product rule",
        "bend-code",
        [("sigmoid + x * sigmoid * (1 - sigmoid)", "sigmoid")],
        {"bend-test": "the slope of silu"},
    ),
    Wrong(
        "relu's corner",
        "bend-code",
        [("(x > 0)", "(x >= 0)")],
        {"bend-test": "at its corner"},
    ),
    Wrong(
        "share taken for a slope",
        "band-code",
        [("share * steep.max()", "share")],
        {"band-test": "a sigmoid's slope is a quarter at most"},
    ),
    Wrong(
        "peak looked for at 0",
        "band-code",
        [("steep.max()", "steep[1000]")],
        {"band-test": "the steepest place may be anywhere"},
    ),
    Wrong(
        "slopes downwards forgotten",
        "band-code",
        [("steep = np.abs(slope(GRID))", "steep = slope(GRID)")],
        {"band-test": "a slope downwards counts as well"},
    ),
    Wrong(
        "unbiased variance to normalise",
        "forward-code",
        [("x.var(0, correction=0)", "x.var(0)")],
        {"forward-train": "this divides by n - 1"},
    ),
    Wrong(
        "running statistics in train mode",
        "forward-code",
        [("mean, var = x.mean(0), x.var(0, correction=0)", "pass")],
        {"forward-train": "subtract the batch's own mean", "forward-running": "halfway"},
    ),
    Wrong(
        "eps outside the root",
        "forward-code",
        [UNROOTED],
        {"forward-train": "√(variance + eps)", "forward-eval": "√(running_var + eps)"},
    ),
    Wrong(
        "biased running variance",
        "forward-code",
        [("x.var(0, correction=1)", "var")],
        {"forward-running": "takes the unbiased variance"},
    ),
    Wrong(
        "momentum reversed",
        "forward-code",
        [
            (
                "(1 - momentum) * running_mean + momentum * mean",
                "momentum * running_mean + (1 - momentum) * mean",
            ),
            (
                "(1 - momentum) * running_var + momentum * unbiased",
                "momentum * running_var + (1 - momentum) * unbiased",
            ),
        ],
        {"forward-running": "momentum is reversed"},
    ),
    Wrong(
        "the caller's running mean overwritten",
        "forward-code",
        [
            (
                "running_mean = (1 - momentum) * running_mean + momentum * mean",
                "running_mean.lerp_(mean, momentum)",
            )
        ],
        {"forward-running": "has been overwritten"},
    ),
    Wrong(
        "batch statistics in eval mode",
        "forward-code",
        [("    y = gamma", "    mean, var = x.mean(0), x.var(0, correction=0)\n    y = gamma")],
        {"forward-eval": "in eval mode the batch's own statistics were used"},
    ),
    Wrong(
        "running statistics move in eval mode",
        "forward-code",
        [
            (
                "    y = gamma",
                "    running_mean = 0.9 * running_mean + 0.1 * x.mean(0)\n    y = gamma",
            )
        ],
        {"forward-running": "halfway", "forward-eval": "the running mean stays"},
    ),
    Wrong(
        "mean and variance as constants",
        "backward-code",
        [("(dz - dz.mean(0) - z * (dz * z).mean(0))", "dz")],
        {"backward-inputs": "treated as constants"},
    ),
    Wrong(
        "the way through the variance forgotten",
        "backward-code",
        [(" - z * (dz * z).mean(0)", "")],
        {"backward-inputs": "the way through the variance is missing"},
    ),
    Wrong(
        "the way through the mean forgotten",
        "backward-code",
        [(" - dz.mean(0)", "")],
        {"backward-inputs": "the way through the mean is missing"},
    ),
    Wrong(
        "unbiased variance backward",
        "backward-code",
        [("x.var(0, correction=0)", "x.var(0)")],
        {"backward-inputs": "autograd finds another", "backward-parameters": "times normalised x"},
    ),
    Wrong(
        "slopes of the parameters averaged",
        "backward-code",
        [("(dy * z).sum(0), dy.sum(0)", "(dy * z).mean(0), dy.mean(0)")],
        {"backward-parameters": "its slopes add up"},
    ),
    Wrong(
        "gamma's slope from raw inputs",
        "backward-code",
        [("(dy * z).sum(0)", "(dy * x).sum(0)")],
        {"backward-parameters": "not x itself"},
    ),
    Wrong(
        "tanh's output looked at",
        "saturation-code",
        [
            ("            x = layer(x)\n", ""),
            ("            if", "            x = layer(x)\n            if"),
        ],
        {"saturation-test": "what comes out is never beyond 1"},
    ),
    Wrong(
        "one side counted",
        "saturation-code",
        [("x.abs() > bound", "x > bound")],
        {"saturation-test": "count both sides"},
    ),
    Wrong(
        "the look moves the running statistics",
        "saturation-code",
        [("copy.deepcopy(net)", "net")],
        {"saturation-test": "has moved the running statistics"},
    ),
    Wrong(
        "eval mode for all",
        "saturation-code",
        [("copy.deepcopy(net)", "copy.deepcopy(net).eval()")],
        {"saturation-test": "measure in the net's"},
    ),
    Wrong(
        "bound left at 2",
        "saturation-code",
        [("> bound", "> 2")],
        {"saturation-test": "is bound used"},
    ),
]

NET = "MeatNet(*scales(level(x)), *scales(y))"
LOST_ON_NEW = {"new-meat-sound": "constant", "new-meat-good": "on validation rows"}
PS3 = [
    Wrong(
        "split before the repeats are dropped",
        "split-code",
        [
            ("table[~table.duplicated()]", "table"),
            ("once.iloc[order[n_valid:]]", "once.iloc[order[n_valid:]].drop_duplicates()"),
        ],
        {"split-test": "stand on both sides"},
    ),
    Wrong(
        "repeats left in",
        "split-code",
        [("table[~table.duplicated()]", "table")],
        {"split-test": "22 of them repeat"},
    ),
    Wrong(
        "both twins dropped",
        "split-code",
        [("duplicated()", "duplicated(keep=False)")],
        {"split-test": "123 rows are left"},
    ),
    Wrong(
        "repeats known by one column",
        "split-code",
        [("duplicated()", "duplicated(table.columns[:100] if len(table.columns) > 2 else ['a'])")],
        {"split-test": "only if all columns are"},
    ),
    Wrong(
        "the first rows put aside",
        "split-code",
        [("np.random.default_rng(seed).permutation(len(once))", "np.arange(len(once))")],
        {"split-test": "another seed must give another split"},
    ),
    Wrong(
        "columns levelled instead of rows",
        "level-code",
        [("(1, ", "(0, ")],
        {"level-test": "take each row", "leak-test": "", "predict-test": "", "new-meat-good": ""},
        ("new-meat-sound",),
    ),
    Wrong(
        "unbiased sd",
        "scales-code",
        [(", correction=0", "")],
        {"scales-test": "divides by n - 1"},
    ),
    Wrong(
        "a constant column divides by zero",
        "scales-code",
        [("torch.where(sd > 0, sd, 1.0)", "sd")],
        {"scales-test": "a constant column gets the sd 1"},
    ),
    Wrong(
        "layers in a plain list",
        "net-code",
        [("nn.ModuleList(layers)", "layers")],
        {
            "net-test": "layers in a plain list",
            "predict-test": "",
            "save-test": "predicts something else",
            "new-meat-good": "",
        },
        ("new-meat-sound",),
    ),
    Wrong(
        "scales as plain attributes",
        "net-code",
        [("self.register_buffer(name, scale)", "setattr(self, name, scale)")],
        {"net-test": "by register_buffer", "save-test": "must return the network"},
    ),
    Wrong(
        "answers in standard deviations",
        "net-code",
        [("self.head(z) * self.y_sd + self.y_mean", "self.head(z)")],
        {
            "predict-test": "",
            "net-test": "back to per cent",
            "new-meat-sound": "",
            "new-meat-good": "",
        },
    ),
    Wrong(
        "validation rows leak into the scales",
        "train-code",
        [(NET, "MeatNet(*scales(level(torch.cat([x, x_valid]))), *scales(y))")],
        {"leak-test": "validation rows leak into it"},
    ),
    Wrong(
        "the target's scale leaks",
        "train-code",
        [(NET, "MeatNet(*scales(level(x)), *scales(torch.cat([y, truth])))")],
        {"leak-test": "y_valid leaks into y_mean"},
    ),
    Wrong(
        "unscaled target",
        "train-code",
        [(NET, "MeatNet(*scales(level(x)), torch.zeros(y.shape[1]), torch.ones(y.shape[1]))")],
        {
            "leak-test": "is the target scaled",
            "predict-test": "",
            "new-meat-sound": "is the target scaled",
            "new-meat-good": "",
        },
    ),
    Wrong(
        "eval() forgotten in predict",
        "train-code",
        [("model.eval()(torch", "model(torch")],
        {"predict-test": "call eval()"},
        ("new-meat-good",),
    ),
    Wrong(
        "predictions in train mode",
        "train-code",
        [("model.eval()(torch", "model.train()(torch")],
        {"predict-test": "eval() was forgotten"},
        ("new-meat-good",),
    ),
    Wrong(
        "(n,) target",
        "train-code",
        [
            ("    y, truth = y.reshape(len(y), -1), truth.reshape(len(truth), -1)\n", ""),
            (NET, "MeatNet(*scales(level(x)), *scales(y.reshape(len(y), -1)))"),
        ],
        {"predict-test": "reshape y to (n, 1) first"},
    ),
    Wrong(
        "a constant predictor",
        "train-code",
        [("return said", "return said * 0 + array(model.y_mean)")],
        {"predict-test": "learns nothing", **LOST_ON_NEW},
    ),
    Wrong(
        "a training cut short",
        "train-code",
        [("range(epochs)", "range(5)")],
        {"predict-test": "", "new-meat-sound": "on validation rows", "new-meat-good": ""},
    ),
    Wrong(
        "the whole model in the file",
        "save-code",
        [
            ("model.state_dict(), path", "model, path"),
            ("weights_only=True)", "weights_only=False).state_dict()"),
        ],
        {"save-test": "Save its state_dict"},
    ),
    Wrong(
        "parameters saved, running statistics lost",
        "save-code",
        [
            (
                "model.state_dict(), path",
                '{k: v for k, v in model.state_dict().items() if "running" not in k}, path',
            ),
            ("load_state_dict(state)", "load_state_dict(state, strict=False)"),
        ],
        {"save-test": "running statistics and scales included"},
    ),
    Wrong(
        "loaded in train mode",
        "save-code",
        [("return net.eval()", "return net")],
        {"save-test": "should be in eval mode"},
    ),
]

LOOK_UP = """def looked_up(table, guess):
    from regression_lib import load_king_county

    library = load_king_county()
    found = table.merge(library.X.join(library.y), how="left", on=list(table))["price"]
    return np.where(found.notna(), np.log(found.fillna(1)), guess + 0.1)


def fit_net"""
ASIDE = "aside, rest = table.iloc[order[:n]], table.iloc[order[n:]]"
TREES = 'model["trees"].predict(x)'
POOR = {"new-line": "no better than a line", "new-boosting": "is far from boosting"}
LATER = ("model-sound", "model-alone", "new-line", "new-boosting")
PS4 = [
    Wrong(
        "judged by the rows fitted to",
        "protocol-code",
        [(ASIDE, "aside, rest = table.iloc[order[:n]], table")],
        {"protocol-rows": "judged by rows that it was fitted to"},
    ),
    Wrong(
        "prices handed to the model",
        "protocol-code",
        [('aside.drop(columns="price")', "aside")],
        {"protocol-rows": "holds the prices"},
    ),
    Wrong(
        "the first rows put aside",
        "protocol-code",
        [("np.random.default_rng(seed).permutation(len(table))", "np.arange(len(table))")],
        {"protocol-rows": "draw the rows at random"},
    ),
    Wrong(
        "the seed ignored",
        "protocol-code",
        [("default_rng(seed)", "default_rng(0)")],
        {"protocol-rows": "another seed must put other rows aside"},
    ),
    Wrong(
        "an error in dollars",
        "protocol-code",
        [('np.log(aside["price"].to_numpy())', 'aside["price"].to_numpy()')],
        {"protocol-score": "this error is in dollars"},
    ),
    Wrong(
        "no root",
        "protocol-code",
        [("float(np.sqrt(np.mean(", "float((np.mean(")],
        {"protocol-score": "take its root"},
    ),
    Wrong(
        "absolute errors",
        "protocol-code",
        [("float(np.sqrt(np.mean((", "float((np.mean(abs("), ("guess) ** 2", "guess)")],
        {"protocol-score": "the mean square of no two errors"},
    ),
    Wrong(
        "logarithm of 0",
        "features-code",
        [('np.maximum(table["yr_built"], table["yr_renovated"])', 'np.log(table["yr_renovated"])')],
        {"features-test": "is it the log of a 0"},
        LATER,
    ),
    Wrong(
        "features scaled by the table at hand",
        "features-code",
        [
            ("return np.column_stack(columns).astype(float)", "x = np.column_stack(columns)"),
            ("    ### END", "    return (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)\n    ### END"),
        ],
        {
            "features-test": "learn scales in the model",
            "model-alone": "take scales from the training",
        },
        LATER,
    ),
    Wrong(
        "the price among the features",
        "features-code",
        [
            (
                "    return np.column",
                "    columns.append(table.get('price', table['grade']))\n    return np.column",
            )
        ],
        {"features-test": "the features change with the price"},
        LATER,
    ),
    Wrong(
        "a constant predictor",
        "model-code",
        [(TREES, "np.full(len(x), 13.0)")],
        {"model-sound": "a constant predictor", **POOR},
    ),
    Wrong(
        "predictions in dollars",
        "model-code",
        [(TREES, f"np.exp({TREES})")],
        {"model-sound": "these are dollars", **POOR},
        ("model-alone",),
    ),
    Wrong(
        "NaN for some houses",
        "model-code",
        [(TREES, f"np.where(x[:, 5] > 3, np.nan, {TREES})")],
        {"model-sound": "a NaN or an infinity", "model-alone": "", **POOR},
    ),
    Wrong(
        "shape (n, 1)",
        "model-code",
        [(TREES, f"{TREES}.reshape(-1, 1)")],
        {"model-sound": "(1200,), not (1200, 1)"},
        ("model-alone", "new-line", "new-boosting"),
    ),
    Wrong(
        "a line",
        "model-code",
        [
            (
                "return {",
                "from sklearn.linear_model import LinearRegression\n"
                "    trees = LinearRegression().fit(x, y)\n    return {",
            )
        ],
        POOR,
    ),
    Wrong(
        "boosting cut short",
        "model-code",
        [("max_iter=150", "max_iter=45")],
        {"new-boosting": "is not below boosting's"},
    ),
    Wrong(
        "the seed not passed on",
        "model-code",
        [("random_state=seed", "random_state=None")],
        {"model-sound": "two fits with the same rows and the same seed differ"},
    ),
    Wrong(
        "scales of the rows that are asked about",
        "model-code",
        [
            (
                f"    return {TREES}",
                f"    x = x - x.mean(0) + features(known).mean(0)\n    return {TREES}",
            )
        ],
        {"model-alone": "take scales from the training rows"},
        ("new-boosting", "new-line"),
    ),
    Wrong(
        "reads the new rows when many are asked about",
        "model-code",
        [
            (
                f"    return {TREES}",
                "    x = x - (x.mean(0) - features(known).mean(0)) * (len(x) > 1200)\n"
                f"    return {TREES}",
            )
        ],
        {"model-alone": "reads the rows that it is asked about"},
        ("new-boosting",),
    ),
    Wrong(
        "prices looked up elsewhere",
        "model-code",
        [
            (f"    return {TREES}", f"    return looked_up(table, {TREES})"),
            ("def fit_net", LOOK_UP),
        ],
        {"model-alone": "are the new rows looked up"},
    ),
    Wrong(
        "the budget exceeded",
        "levels",
        [("BUDGET = 12_000", "BUDGET = 1")],
        {"new-line": "a fit takes the time of", "new-boosting": "a fit takes the time of"},
    ),
]

WRONG = {
    "ps1_tensors": PS1,
    "ps2_activations_and_batch_norm": PS2,
    "ps3_deep_regressor": PS3,
    "ps4_tuning_project": PS4,
}

# A training that passes and costs less, for the wrong answers that are not about training.
QUICK = {
    "ps3_deep_regressor": {
        "net-code": [("nn.Tanh()", "nn.GELU()")],
        "train-code": [("epochs, size = 300", "epochs, size = 60")],
    },
    "ps4_tuning_project": {
        "model-code": [
            (', "net": fit_net(x, y, seed)}', "}"),
            (f'({TREES} + ask_net(model["net"], x)) / 2', TREES),
            ("learning_rate=0.06", "learning_rate=0.1"),
            ("max_iter=400", "max_iter=150"),
        ]
    },
}
