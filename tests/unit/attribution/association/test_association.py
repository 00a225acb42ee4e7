"""An association with a number that is none is written nowhere."""

import dataclasses

import pytest
import torch
from tests.unit.attribution.worlds import CONCEPTS, association_of, fitted_learner, planted_lm, tiny_lm

from semprune.attribution import NeuronSemanticAttribution, load_association
from semprune.errors import NonFiniteError


@pytest.mark.parametrize("name", ["matrix", "t", "q", "any_concept", "mean", "rms"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_nothing_that_is_not_finite_is_saved(tmp_path, name, value):
    lm = tiny_lm()
    whole = association_of(lm, torch.ones(sum(site.width for site in lm.sites), len(CONCEPTS)))
    whole.save(tmp_path / "whole.safetensors")
    assert torch.equal(load_association(tmp_path / "whole.safetensors").matrix, whole.matrix)
    broken = getattr(whole, name).clone()
    broken.view(-1)[3] = value
    with pytest.raises(NonFiniteError, match=f"`{name}` of the association"):
        dataclasses.replace(whole, **{name: broken}).save(tmp_path / "broken.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["whole.safetensors"]


def test_a_fit_that_diverged_gives_no_checkpoint():
    from tests.unit.attribution.worlds import observed

    module = NeuronSemanticAttribution(learning_rate=1e6)
    module.lm = planted_lm()
    module.learner = fitted_learner(module.lm, [observed().batch])
    with torch.no_grad():
        module.learner.token.coefficients[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"Lower `model\.learning_rate`"):
        module.on_save_checkpoint({"state_dict": {}})
