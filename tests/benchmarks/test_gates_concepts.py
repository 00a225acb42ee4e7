"""The page of several concepts' gates finds planted losses."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.gates_concepts import CONCEPTS, TESTED, WORDS
from benchmarks.gates_concepts_page import LABELS, Measured, page

PLANTED = {"gates": 0.8, "start": 0.4, "score": 0.1, "matched": 0.0}
"""Share of its own task that each set takes; of the others' a tenth of it."""
DOCUMENTS = 40


def rows(selection, concept, seed):
    """Items, words and text under one set: of a task's pairs, a share is in no order; of its nats, a share is gone."""
    items, words = [], []
    for dataset, asked in TESTED.items():
        taken = PLANTED.get(selection, 0.0) * (1 if asked == concept else 0.1)
        for wording in ("fitted", "other"):
            label = np.arange(DOCUMENTS) % 2
            odds = np.where(np.arange(DOCUMENTS) < taken * DOCUMENTS, 0.0, 2.0 * label - 1)
            items.append(pd.DataFrame({"dataset": dataset, "wording": wording, "label": label, "log_odds": odds,
                                       "document": [f"d{at}" for at in range(DOCUMENTS)]}))  # fmt: skip
    for name in WORDS:
        taken = PLANTED.get(selection, 0.0) * (1 if name == concept else 0.1)
        size = 10 + np.arange(20.0)
        words.append(pd.DataFrame({"words": name, "window": range(20), "own": (1 - taken) * size, "others": size}))
    text = pd.DataFrame({"sequence": range(8), "nll": 3 + 0.1 * np.arange(8) + 0.02 * bool(concept)})
    about = {"selection": selection, "concept": concept, "seed": seed}
    return {name: table.assign(**about) for name, table in
            {"items": pd.concat(items), "words": pd.concat(words), "text": text}.items()}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concepts")
    sets = [("dense", "", 0), *((name, concept, seed) for name in LABELS for concept in CONCEPTS for seed in (0, 1))]
    every = [rows(*own) for own in sets]
    for name in ("items", "words", "text"):
        pd.concat([own[name] for own in every]).to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def test_what_each_concept_s_gates_take_is_found_of_its_own_task_and_of_the_others(folder):
    measured = Measured(folder)
    for concept in CONCEPTS:
        for task in CONCEPTS:
            planted = 0.8 if task == concept else 0.08
            expected = planted if task in WORDS else planted**2  # of pairs, where both are in no order
            assert measured.lost("gates", concept, task).value == pytest.approx(expected, abs=0.01)
        assert measured.lost("matched", concept, concept).value == 0
        assert measured.nats("gates", concept).value == pytest.approx(0.02)
    tables = page(folder)
    assert tables["own and others"].count("| learned gates | 2 |") == len(CONCEPTS)
    assert tables["each"].count("\n") == len(CONCEPTS) + 1
