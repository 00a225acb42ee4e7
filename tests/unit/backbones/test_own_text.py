"""Text that a model writes itself."""

from __future__ import annotations

import pytest
import torch
from tests.integration.tiny import tiny_backbone

from semprune.backbones.own_text import own_text, write_text

BOS = (0,)


def test_it_is_kept_only_added_to_and_has_no_special_token(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEMPRUNE_CACHE", str(tmp_path))
    lm = tiny_backbone()
    few, many = own_text(lm, 3, 12, 0, BOS), own_text(lm, 11, 12, 0, BOS)
    assert many.shape == (11, 12)
    assert torch.equal(few, many[:3])
    assert not set(many.flatten().tolist()) & set(lm.tokenizer.all_special_ids)
    assert not torch.equal(many, own_text(lm, 11, 12, 1, BOS))
    assert not torch.equal(many[:3], many[8:])
    monkeypatch.setattr("semprune.backbones.own_text.write_text", lambda *a: 1 / 0)
    assert torch.equal(own_text(lm, 11, 12, 0, BOS), many)


def test_tokens_follow_the_models_own_probabilities() -> None:
    lm = tiny_backbone()
    drawn = write_text(lm, 4000, 1, 5, BOS)[:, 0]
    with torch.inference_mode():
        logits = lm.model(torch.tensor([BOS])).logits[0, -1].double()
    logits = logits.clone()
    logits[lm.tokenizer.all_special_ids] = -torch.inf
    expected = 4000 * logits.softmax(-1)
    counts = drawn.bincount(minlength=len(logits)).double()
    frequent = expected >= 5
    chi2 = float(((counts - expected)[frequent] ** 2 / expected[frequent]).sum())
    freedom = int(frequent.sum()) - 1
    assert chi2 < freedom + 5 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("start", [BOS, (3, 0)])
def test_the_next_token_depends_on_all_before(start: tuple[int, ...]) -> None:
    """With its cache of keys and values it draws what whole forwards would draw."""
    lm = tiny_backbone()
    text = write_text(lm, 2, 6, 9, start)
    generator, ids = torch.Generator().manual_seed(9), torch.tensor([start, start])
    for k in range(6):
        with torch.inference_mode():
            logits = lm.model(ids).logits[:, -1].double()
        logits = logits.clone()
        logits[:, lm.tokenizer.all_special_ids] = -torch.inf
        token = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        assert torch.equal(token[:, 0], text[:, k])
        ids = torch.cat([ids, token], 1)
