"""Which data sets the dense model can do, and in which wording: planted answers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from semprune.evaluation import screening_table


def answered(dataset: str, prompt: str, right: np.ndarray, choices: int = 2) -> pd.DataFrame:
    """Balanced labels, scored one nat apart where ``right``, the other way elsewhere."""
    labels = np.arange(len(right)) % choices
    found = np.where(right, labels, (labels + 1) % choices)
    scores = [[0.0 if choice == one else -1.0 for choice in range(choices)] for one in found]
    keys = [str(number) for number in range(len(right))]
    return pd.DataFrame({"dataset": dataset, "prompt": prompt, "item_id": keys, "document_id": keys,
                         "label": labels, "scores": scores, "lengths": [[1] * choices] * len(right)})  # fmt: skip


def test_the_wording_that_is_answered_best_is_chosen_and_of_equal_ones_the_first() -> None:
    shares = {"harness": 0.6, "review": 0.9, "good_or_bad": 0.9}
    table = screening_table(pd.concat(
        [answered("sst2", name, np.arange(100) < 100 * share) for name, share in shares.items()]
    ))  # fmt: skip
    assert table["prompt"].tolist() == list(shares)
    assert table.loc[table["chosen"], "prompt"].tolist() == ["review"]
    assert table.set_index("prompt")["admitted"].to_dict() == {"harness": False, "review": True, "good_or_bad": True}
    assert table["metric"].eq("auroc").all()


def test_reasoning_keeps_its_first_wording() -> None:
    worse, right = (answered("piqa", name, np.arange(40) < n) for name, n in (("harness", 10), ("other", 40)))
    table = screening_table(pd.concat([worse, right]))
    assert table["metric"].eq("acc_norm").all()
    assert table["chosen"].tolist() == [True, False]


def test_the_best_of_five_wordings_that_guess_is_hardly_ever_admitted() -> None:
    draw, admitted = np.random.default_rng(0), 0
    for _ in range(100):
        table = screening_table(pd.concat([answered("sst2", str(n), draw.random(100) < 0.5) for n in range(5)]))
        admitted += int(table.loc[table["chosen"], "admitted"].iloc[0])
    assert admitted <= 5
