"""Make the tables of the problem sets from the library's data: the same bytes each time.

``python coursework/tools/make_data.py`` writes them beside the notebooks; with a folder as
argument it writes there instead. Students get no price and no analysis of the rows that their
work is judged by. The checks take those from the library, which a student's sandbox cannot read.
"""

import sys
from pathlib import Path

import numpy as np

from regression_lib import KC4, load_king_county, load_tecator

SOURCE = Path(__file__).parents[1] / "source"
SEED = 2026  # the hidden checks of ps3 and ps4 draw the same rows with it
N_HELD_OUT_HOUSES, N_HOUSES, N_HELD_OUT_MEATS = 1500, 6000, 40


def house_rows():
    """Numbers of the houses held out and of those that students see, in the library's table."""
    order = np.random.default_rng(SEED).permutation(len(load_king_county()))
    return order[:N_HELD_OUT_HOUSES], order[N_HELD_OUT_HOUSES:][:N_HOUSES]


def meat_rows():
    """The same for the meats. None held out has a twin, so students see all 22 repeated rows."""
    alone = ~load_tecator().X.duplicated(keep=False).to_numpy()
    order = np.random.default_rng(SEED).permutation(len(alone))
    held_out = order[alone[order]][:N_HELD_OUT_MEATS]
    return held_out, np.setdiff1d(order, held_out)


def tables():
    """Every file of the problem sets: its path below `source`, and its frame."""
    held_out, seen = house_rows()
    houses = load_king_county()
    few = houses.select(*KC4)
    meats = load_tecator()
    new_meats, known_meats = meat_rows()
    known, new = meats.rows(known_meats), meats.rows(new_meats)
    return {
        "ps1_tensors/houses.csv": few.rows(seen[:400]).X.join(houses.y),
        "ps2_activations_and_batch_norm/houses.csv": few.rows(seen[400:800]).X,
        "ps3_deep_regressor/meats.csv": known.X.join(known.y),
        "ps3_deep_regressor/new_spectra.csv": new.X,
        "ps4_tuning_project/houses.csv": houses.rows(seen).X.join(houses.y),
        "ps4_tuning_project/new_houses.csv": houses.rows(held_out).X,
    }


def write(folder=SOURCE):
    """Write all of them; whole numbers without a decimal point, which halves the files."""
    for name, table in tables().items():
        whole = [column for column in table if (table[column] % 1 == 0).all()]
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table.astype(dict.fromkeys(whole, int)).to_csv(path, index=False, lineterminator="\n")


if __name__ == "__main__":
    write(*sys.argv[1:])
