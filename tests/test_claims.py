"""A claim shows its verdict, and raises when code and page disagree."""

import pytest

from regression_lib import claim, spread


def test_a_true_claim_is_shown():
    card = claim("Two is even", True, {"2 % 2 = 0": True})
    assert repr(card) == "Holds: Two is even\n  ✓ 2 % 2 = 0"
    assert 'class="claim-card claim-holds"' in card._repr_html_()


def test_a_false_claim_is_shown_as_false():
    card = claim("Two is odd", False, {"2 % 2 = 0": False})
    assert repr(card) == "Does not hold: Two is odd\n  ✗ 2 % 2 = 0"
    assert "claim-fails" in card._repr_html_()


def test_in_part():
    card = claim("Primes are odd", "in part", {"3": True, "2": False})
    assert "claim-part" in card._repr_html_()
    assert repr(card).startswith("Holds in part")


@pytest.mark.parametrize(
    ("holds", "evidence"),
    [
        (True, {"a": False}),
        (True, {"a": True, "b": False}),
        (False, {"a": True}),
        (False, {"a": True, "b": False}),
        ("in part", {"a": True}),
        ("in part", {"a": False}),
    ],
)
def test_disagreement_raises_and_shows_what_was_measured(holds, evidence):
    with pytest.raises(AssertionError, match=r"the page says .*\n.*words of the claim"):
        claim("words of the claim", holds, evidence)


@pytest.mark.parametrize("evidence", [{}, None, [True], True])
def test_no_evidence_is_refused(evidence):
    with pytest.raises(ValueError, match="evidence must map"):
        claim("x", True, evidence)


def test_a_number_is_no_evidence():
    with pytest.raises(TypeError, match=r"must be true or false, got 0\.3"):
        claim("x", True, {"a": 0.3})


@pytest.mark.parametrize("holds", [1, "yes", None])
def test_an_unknown_verdict_is_refused(holds):
    with pytest.raises(ValueError, match="holds must be"):
        claim("x", holds, {"a": True})


def test_html_is_escaped():
    card = claim("<script>", True, {"<b>": True})
    assert "<script>" not in card._repr_html_()
    assert "<b>" not in card._repr_html_()


def test_spread():
    assert spread([0.20, 0.22, 0.21]) == "0.210 ± 0.010"
    assert spread([1000, 3000], 0, "US$") == "2,000 ± 1,414 US$"
    with pytest.raises(ValueError, match="at least two"):
        spread([1.0])


def test_a_claim_of_the_post_says_so_and_carries_its_ledger_entry():
    card = claim("Two is odd, they say", False, {"2 % 2 = 0": False}, post="odd")
    data, metadata = card._repr_mimebundle_()
    assert data["text/plain"].startswith("The post: does not hold: Two is odd")
    assert metadata["claim"]["post"] == "odd"
    assert metadata["claim"]["evidence"] == ["✗ 2 % 2 = 0"]
    assert f'id="{metadata["claim"]["anchor"]}"' in data["text/html"]
    assert metadata["claim"]["anchor"] == "claim-two-is-odd-they-say"


def test_what_the_post_leaves_unsaid_is_not_put_into_its_mouth():
    card = claim("Biases are idle", True, {"slope 0": True}, post="unsaid-bias")
    assert repr(card).startswith("Unsaid by the post: holds: Biases are idle")
