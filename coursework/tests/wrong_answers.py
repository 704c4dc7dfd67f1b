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

WRONG = {"ps1_tensors": PS1}
