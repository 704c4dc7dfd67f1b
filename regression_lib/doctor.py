"""`python -m regression_lib doctor`: does this machine run the course, in a block to paste."""

import platform
import time
from importlib.metadata import PackageNotFoundError, version

from regression_lib.words import printable

PACKAGES = ["regression-lib", "torch", "numpy", "pandas", "scikit-learn", "matplotlib"]
PACKAGES += ["safetensors", "tqdm", "rich", "jupyterlab", "jupyter-book"]


def examine() -> list[tuple[str, str, bool]]:
    """Look at versions, device, data and a short training.

    Returns
    -------
    list of (name, finding, bool)
        What was looked at, what was found, and whether it is well.
    """
    findings = [("system", f"{platform.system()} {platform.release()}, {platform.machine()}", True)]
    findings.append(("python", platform.python_version(), True))
    findings += [(name, *_version(name)) for name in PACKAGES]
    return [*findings, _device(), *_data(), _training()]


def _version(name):
    try:
        return version(name), True
    except PackageNotFoundError:
        # The book's own tools are not needed by somebody who uses the library alone.
        return "not installed", name.startswith("jupyter")


def _device():
    import torch

    found = f"cpu, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        found += f"; cuda, {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        found += "; mps"
    return "device", found, True


def _data():
    from regression_lib.data import checksums

    findings = []
    for file, (expected, found) in checksums().items():
        well = found == expected
        findings.append((file, f"sha256 {found[:12]}… {'' if well else 'DAMAGED'}".rstrip(), well))
    return findings


def _training():
    from regression_lib import RegressionNet, fit, load_king_county, split

    train, valid, _ = split(load_king_county(3000).log_target())
    start = time.process_time()
    history = fit(RegressionNet(17, hidden=(64, 64)), train, validation=valid, epochs=10)
    loss = history.frame["validation_loss"].min()
    found = f"10 epochs in {time.process_time() - start:.1f} CPU s, validation loss {loss:.3f}"
    return "training", found, bool(loss < 0.5)


def main() -> int:
    """Print the findings; the exit status is 0 if all is well, 1 if not."""
    findings = examine()
    print("```")
    for name, found, well in findings:
        print(printable(f"{'ok ' if well else 'NO '} {name:<24} {found}"))
    print("```")
    bad = [name for name, _, well in findings if not well]
    print(f"Look at: {', '.join(bad)}." if bad else "All is well: the course runs here.")
    return 1 if bad else 0
