"""What a model knows and says: log-odds of every item, likelihood and divergence of running text."""

from __future__ import annotations

from typing import Any

from benchmarks.guidance.settings import Settings

from semprune.backbones import Backbone
from semprune.data import CalibrationDataModule, load_items
from semprune.data.registry import dataset_spec
from semprune.evaluation import predict_items
from semprune.evaluation.fidelity import DenseText, dense_text, token_fidelity

LENGTH = 256
Measured = dict[str, Any]


class Ruler:
    """Measures one model in different states, dense first.

    Args:
        lm: The dense model.
        settings: What is measured.
    """

    def __init__(self, lm: Backbone, settings: Settings) -> None:
        """Read the items and the text, and run the dense model over the text."""
        self._lm = lm
        self._items = [item for name in settings.datasets for item in _items(name, settings)]
        self._text = CalibrationDataModule(settings.text, settings.windows, LENGTH).bind(lm).calibration_input_ids()
        self._dense: DenseText = dense_text(lm.model, self._text)

    def dense(self) -> Measured:
        """Of the dense model."""
        return self._skill() | {"nll": _rounded(self._dense.nll.tolist()), "kl": [0.0]}

    def now(self) -> Measured:
        """Of the model as it is now."""
        found = token_fidelity(self._lm.model, self._text, self._dense.states)
        return self._skill() | {
            "nll": _rounded(found.nll.tolist()),
            "kl": _rounded(found.divergence.mean(1).tolist()),
            "same_top": float(found.same_top.float().mean()),
        }

    def _skill(self) -> Measured:
        table = predict_items(self._lm, self._items)
        sets = {}
        for name, own in table.groupby("dataset"):
            sets[str(name)] = {
                "scores": [_rounded(scores) for scores in own["scores"]],
                "labels": own["label"].astype(int).tolist(),
                "documents": own["document_id"].astype(str).tolist(),
            }
        return {"sets": sets}


def _items(name: str, settings: Settings) -> Any:
    wordings = dataset_spec(name).prompts
    return load_items(name, limit=settings.items, prompt=wordings[min(settings.wording, len(wordings) - 1)].name)


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]
