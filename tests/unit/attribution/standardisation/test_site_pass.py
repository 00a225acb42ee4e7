"""One site's batch: pieces, reused memory and padding change nothing."""

import pytest
import torch

from semprune.attribution.standardisation import site_pass as module
from semprune.attribution.standardisation.site_pass import CLIP, site_pass, sum_of_squares
from semprune.attribution.standardisation.standardise import Standardiser
from semprune.types import NeuronSite

SITE = NeuronSite("layers.0.mlp", 0, "mlp", 5, "model.layers.0.mlp.down_proj")


@pytest.fixture
def batch():
    torch.manual_seed(0)
    valid = torch.ones(4, 7, dtype=torch.bool)
    valid[:, 0] = valid[2, 4:] = False
    return 3 * torch.randn(4, 7, 5), valid, torch.randn(5), torch.tensor([0.5, 1.0, 2.0, 0.0, 0.1])


@pytest.mark.parametrize("piece", [1, 15, 2**18])  # a row, three rows, everything
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_pieces_give_what_a_loop_gives(monkeypatch, batch, piece, dtype):
    h, valid, median, scale = batch
    h = h.to(dtype)
    monkeypatch.setattr(module, "PIECE", piece)
    found = site_pass(h, valid, median, scale, moments=True, room=torch.full((28, 5), torch.nan))
    real, wide = valid.double()[..., None], h.double()
    z = torch.where(scale > 0, (wide - median) / scale.double(), 0).clamp(-CLIP, CLIP) * real
    moments = torch.stack(
        [(wide * real).sum((0, 1)), (wide * real).square().sum((0, 1)), (wide * real).abs().amax((0, 1))]
    )

    torch.testing.assert_close(found.z.double(), z, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.energy.double(), z.square().sum((0, 1)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.moments.double(), moments, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("piece", [1, 30, 2**18])
def test_sum_of_squares_of_any_shape(monkeypatch, piece):
    monkeypatch.setattr(module, "PIECE", piece)
    values = torch.randn(9, 3, 5, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(sum_of_squares(values), values.square().sum(0))


def test_only_what_is_asked_for_briefly_shares_memory(batch):
    h, valid, median, scale = batch
    standardiser = Standardiser((SITE,))
    standardiser.median.copy_(median)
    standardiser.scale.copy_(scale)
    kept, brief = (standardiser.take(SITE, h, valid, brief=brief).z for brief in (False, True))
    assert torch.equal(kept, brief)
    before = kept.clone()
    again = standardiser.take(SITE, h[:2] + 1, valid[:2], brief=True).z

    assert again.data_ptr() == brief.data_ptr() != kept.data_ptr()
    assert torch.equal(kept, before)
    assert torch.equal(again, standardiser.take(SITE, h[:2] + 1, valid[:2]).z)
