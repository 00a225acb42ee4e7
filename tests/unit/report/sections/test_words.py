"""The word × neuron table: what pruning leaves of an activation at each word, as number and as bar."""

from types import SimpleNamespace

import pandas as pd

from semprune.report.sections.words import concept_words


def test_bars_are_shares_of_the_dense_activation():
    setting = SimpleNamespace(label="Wanda 50 %")
    rows = [("badly", 31, 0.2112, 0.0084), ("worse", 54, 0.3, 0.15), ("never", 3, 0.0, 0.1), ("awful", 2, 0.1, 0.4)]
    table = pd.DataFrame([
        {"concept": "sentiment.negative", "word": word, "neuron": "layers.15.mlp/2194", "n": n, "dense": dense,
         "pruned": pruned, "setting": setting.label} for word, n, dense, pruned in rows
    ])  # fmt: skip
    words = concept_words(SimpleNamespace(word_activations=table, settings=[setting]))["sentiment.negative"]
    assert [word.word for word in words.words] == ["worse", "badly", "never", "awful"]  # most frequent first
    bars = {word.word: word.pruned[0].bar for word in words.words}
    assert bars == {"worse": 40.0, "badly": 3.2, "never": None, "awful": 100.0}
