"""What is not defined is said to be missing, not that nothing was lost or reached."""

import math

from semprune.report.run.formats import MISSING
from semprune.report.tables.frontier import _at
from semprune.report.tables.mediation import NOTHING_LOST, recovered_text


def test_a_loss_that_is_not_defined_is_no_dose_that_was_not_reached():
    row = {"lost": math.nan, "largest": 0.4, "dose": 0.1}
    assert _at(row, "concept_logprob_lost") == MISSING
    assert _at(row | {"dose": 0.5}, "concept_logprob_lost") == "not reached (< 0.4)"


def test_an_auroc_that_is_not_defined_is_no_loss_of_nothing():
    row = {"recovered": math.nan, "dense": 0.9, "pruned": 0.9}
    assert recovered_text(row) == NOTHING_LOST
    assert recovered_text(row | {"pruned": math.nan}) == MISSING
