"""``provenance.json``: what made a run, the same for a study and for a test of the trainer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from semprune.backbones import Backbone
from semprune.data import dataset_spec
from semprune.io.files import write_json
from semprune.io.provenance import RunClock
from semprune.pruning import method_labels


def write_provenance(
    run: Path,
    clock: RunClock,
    lm: Backbone,
    *,
    items: str,
    documents: str | None,
    calibration: Mapping[str, str],
    settings: Mapping[str, Any],
    datasets: Iterable[str],
) -> None:
    """Write what made a run.

    Args:
        run: Run folder.
        clock: Started with the command.
        lm: The model.
        items: SHA-256 of all evaluated items.
        documents: SHA-256 of the documents that the association is fitted to and read back from; None without any.
        calibration: SHA-256 of the tokens of each draw of calibration sequences, by its name.
        settings: What the run was told.
        datasets: Evaluated data sets, whose licences are named.
    """
    about = {
        "backbone": {"name": lm.name, "fingerprint": str(lm.fingerprint), "dtype": str(lm.dtype)},
        "data": {"items": items, "documents": documents},
        "calibration": dict(calibration),
        "settings": dict(settings),
        "licences": {name: str(dataset_spec(name).licence) for name in datasets},
        "methods": [{"name": name, "label": label} for name, label in method_labels().items()],
    }
    write_json(run / "provenance.json", clock.record() | about)
