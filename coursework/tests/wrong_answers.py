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

WRONG = {"ps1_tensors": PS1, "ps2_activations_and_batch_norm": PS2}
