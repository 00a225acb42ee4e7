"""Sentence embeddings by MiniLM."""

from __future__ import annotations

import pytest
import torch

from semprune.backbones.sentence_encoder import embed_texts


@pytest.mark.assets
def test_sentences_that_mean_the_same_are_closer_and_batches_change_nothing() -> None:
    texts = ["The film was wonderful.", "I loved this movie.", "Interest rates rose by half a point."]
    embedded = embed_texts(texts)
    assert embedded.shape == (3, 384)
    assert torch.allclose(embedded.norm(dim=1), torch.ones(3), atol=1e-5)
    cosine = embedded @ embedded.T
    assert cosine[0, 1] > 0.5 > 0.2 > cosine[0, 2]
    assert torch.allclose(embedded, embed_texts(texts, batch_size=1), atol=1e-5)
