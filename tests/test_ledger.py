"""The pages made from the notebooks are up to date, and no claim of the post is left out."""

import json
import re

import ledger
import nbformat
import pytest
import running_times


def test_the_ledger_is_what_the_notebooks_measured():
    assert ledger.LEDGER.read_text(encoding="utf-8") == ledger.page(), "run `make notebooks`"


def test_the_store_is_what_the_evidence_measured():
    assert ledger.STORE.read_text(encoding="utf-8") == ledger.store(), "run `make notebooks`"


def test_each_verdict_of_the_store_is_shown_in_a_lesson():
    lessons = [path for path in ledger.notebooks() if not ledger.is_evidence(path)]
    shown = re.findall(r'verdict\(\\"([a-z0-9-]+)\\"\)', "".join(p.read_text() for p in lessons))
    assert set(shown) == set(json.loads(ledger.STORE.read_text()))


def seconds_for(path):
    """What a notebook may take: evidence, a lesson that has evidence, one that is both."""
    apart = (ledger.BOOK / "evidence" / path.name).exists()
    return 120 if ledger.is_evidence(path) else 30 if apart else 90


def test_the_running_times_are_those_of_the_notebooks():
    text = running_times.PAGE.read_text(encoding="utf-8")
    assert text == running_times.page(), "run `make notebooks`"


def test_each_claim_of_the_post_is_put_to_the_test():
    keys = {key for section in ledger.post_claims().values() for key in section["claims"]}
    tested = {card["post"] for card in ledger.cards()} - {None}
    assert tested <= keys, f"not in post_claims.toml: {tested - keys}"
    unwritten = [path.stem for path in ledger.notebooks() if "being written" in path.read_text()]
    if unwritten:
        pytest.skip(f"{', '.join(unwritten)} will test {len(keys - tested)} more claims")
    assert tested == keys, f"no card tests {keys - tested}"


def test_each_card_has_an_address_of_its_own():
    anchors = [card["anchor"] for card in ledger.cards()]
    assert len(anchors) > 5
    assert len(anchors) == len(set(anchors))


def test_each_verdict_cell_saved_what_the_ledger_reads():
    for path in ledger.notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            cards = [o for o in cell.get("outputs", []) if "claim" in o.get("metadata", {})]
            if cell.cell_type == "code" and "claim(" in cell.source:
                assert len(cards) == 1, cell.source


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [([True, True], True), ([False], False), ([True, False], "in part"), ([], None)],
)
def test_several_cards_make_one_verdict(verdicts, together):
    assert ledger.verdict_of([{"holds": verdict} for verdict in verdicts]) == together


@pytest.mark.parametrize("path", ledger.notebooks(), ids=ledger._page_of)
def test_a_chapter_keeps_its_budget_of_time_and_memory(path):
    row = running_times.measured(path)
    if "being written" in path.read_text():
        pytest.skip("an opening so far")
    assert row["seconds"] <= seconds_for(path)
    assert row["megabytes"] <= 2000
