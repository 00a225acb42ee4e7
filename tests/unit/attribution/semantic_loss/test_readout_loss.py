"""Readout loss against scikit-learn, and on activations whose loss is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score
from tests.unit.attribution.worlds import fitted_learner, label_tokens, observed, planted_lm

from semprune.attribution.fit.learner import forward_sites
from semprune.attribution.held_out.readout import LevelReadout, Readout
from semprune.attribution.semantic_loss.readout_loss import FOLDS, RIDGE, readout_loss, refitted_scores
from semprune.backbones import ablate
from semprune.errors import ConfigurationError
from semprune.statistics.average_precision import average_precision


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=3, max_size=30))
def test_average_precision_is_scikit_learns_with_ties_and_weights(rows):
    scores, targets, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    found = average_precision(scores, targets, weights[None])[0]
    if (targets * weights).sum() == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(average_precision_score(targets, scores, sample_weight=weights))


def test_refitting_is_ridge_regression_over_the_other_folds():
    generator = torch.Generator().manual_seed(0)
    values, cluster = torch.randn(60, 2, 3, generator=generator), torch.arange(60) // 3
    targets = (values[:, :, 0] + torch.randn(60, 2, generator=generator) > 0).long()
    targets[::7, 1] = -1
    found = refitted_scores(LevelReadout(values, targets, cluster))
    for c in range(2):
        for fold in range(FOLDS):
            rest = ((cluster % FOLDS != fold) & (targets[:, c] >= 0)).numpy()
            own = (cluster % FOLDS == fold).numpy()
            z, y = values[:, c].double().numpy(), targets[:, c].numpy()
            model = Ridge(alpha=RIDGE * rest.sum()).fit(z[rest], y[rest])
            np.testing.assert_allclose(found[own, c].numpy(), z[own] @ model.coef_, rtol=1e-8)


def test_too_few_documents_to_refit_are_refused():
    few = LevelReadout(torch.zeros(8, 1, 2), torch.zeros(8, 1, dtype=torch.long), torch.arange(8) // 4)
    with pytest.raises(ConfigurationError, match="needs 5 held-out documents or more, got 2"):
        refitted_scores(few)


@pytest.fixture(scope="module")
def planted():
    lm = planted_lm()
    return lm, fitted_learner(lm, [observed(60, 14, seed).batch for seed in range(4)])


def read(lm, learner, seeds=(10, 11)):
    readout = Readout(learner)
    for seed in seeds:
        seen = learner.labelled(observed(60, 14, seed).batch, label_tokens)
        with readout.gathering(lm, seen):
            forward_sites(lm, learner.sites, seen.batch, lambda site, activations: None)
    return readout


def test_what_is_collected_is_what_the_learner_reads(planted):
    lm, learner = planted
    seen = learner.labelled(observed(60, 14, 10).batch, label_tokens)
    readout = read(lm, learner, (10,)).level("token")
    selection, _ = learner.decoder_inputs(lm, seen)
    expected = selection.values[seen.valid.flatten()].view(readout.values.shape)
    assert torch.equal(readout.values, expected)
    assert torch.equal(readout.targets, seen.targets[seen.valid.flatten()])


def test_the_dense_model_loses_nothing(planted):
    lm, learner = planted
    table = readout_loss(read(lm, learner), read(lm, learner))
    assert (table[["loss_frozen", "loss_refit", "moved"]] == 0).all().all()
    token = table[table["level"] == "token"]
    assert (token["ap_dense"] > 0.9).all()
    assert token["n_documents"].tolist() == [30, 30]


def test_a_moved_code_is_lost_to_the_frozen_head_and_found_by_a_new_one(planted):
    """Turning the neurons' sign around destroys the frozen reading and no information."""
    lm, learner = planted
    dense, pruned = read(lm, learner), read(lm, learner)
    pruned._parts["token"] = [(-values, *rest) for values, *rest in pruned._parts["token"]]
    token = readout_loss(dense, pruned).query("level == 'token'")
    assert (token["loss_frozen"] > 0.4).all()
    assert token["loss_refit"].to_numpy() == pytest.approx(0, abs=1e-9)
    assert (token["moved_low"] > 0.3).all()


def test_a_silenced_concept_is_gone_and_the_other_is_not(planted):
    lm, learner = planted
    chosen = learner.token_decoder.neurons[0]
    held = {
        site.name: (own - where.start, torch.zeros(len(own)))
        for site in lm.sites
        for where in [learner.standardiser.index.where(site)]
        for own in [chosen[(chosen >= where.start) & (chosen < where.stop)]]
    }
    with ablate(lm.model, held):
        pruned = read(lm, learner)
    token = readout_loss(read(lm, learner), pruned).set_index("concept")
    assert token.loc["praise", "loss_frozen"] > 0.4
    assert token.loc["praise", "loss_refit"] > 0.4
    assert abs(token.loc["praise", "moved"]) < 0.2
    assert isinstance(token, pd.DataFrame)
    assert token.loc["blame", "loss_refit"] < 0.2


def test_other_documents_are_refused(planted):
    lm, learner = planted
    with pytest.raises(ConfigurationError, match="different documents"):
        readout_loss(read(lm, learner, (10,)), read(lm, learner, (11,)))
