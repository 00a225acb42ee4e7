"""The model card of a pruned folder, of masks, or of a model whose neurons were removed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

from semprune.artefacts.card import Origin, short_name
from semprune.artefacts.card import write_card as write_card_of
from semprune.backbones import Backbone
from semprune.backbones.loading.origin import origin_of
from semprune.backbones.loading.source import find_backbone
from semprune.errors import CorruptArtefactError
from semprune.pruning.methods import method_labels
from semprune.pruning.removal.remove import RemovalReport
from semprune.pruning.report import PruneReport

WEIGHTS = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("this folder or repository")
tokenizer = AutoTokenizer.from_pretrained("this folder or repository")
```"""
CHECKED = "`semprune verify FOLDER --masks FOLDER` counts weights that should be zero and are not."
MASKS = "`semprune prune --masks FOLDER --backbone.name {base} --output out/` writes the pruned model."


def write_card(folder: Path | str, report: PruneReport | RemovalReport, base: Backbone | str) -> Path:
    """Write the model card of a model that was pruned in memory and saved: a README.md with the hub's front matter.

    Args:
        folder: Where ``save_pretrained`` wrote the model.
        report: What ``prune_model`` or ``remove_neurons`` returned.
        base: The model before: as loaded, or its embedded name, folder or hub name.

    Returns:
        The path of the card.

    Raises:
        CorruptArtefactError: The folder holds no ``config.json``.
        SempruneError: Of the kind of what is wrong with the name of the base.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise CorruptArtefactError(folder, "there is no config.json", "Save the model there with save_pretrained.")
    name = base.name if isinstance(base, Backbone) else base
    return _card(report, folder, origin_of(find_backbone(name)))


def write_pruning_card(
    folder: Path,
    origin: Origin,
    method: str,
    settings: Mapping[str, Any],
    measured: float,
    *,
    calibration: Mapping[str, Any] | None = None,
    fingerprint: str = "",
    more: Mapping[str, str] | None = None,
    masks_only: bool = False,
) -> Path:
    """Write the card of a pruned model or of its masks.

    Args:
        folder: Where it goes.
        origin: The model before.
        method: Name of the method.
        settings: What was asked of it.
        measured: Share of zeros in all pruned matrices.
        calibration: Which text was looked at; None where none was.
        fingerprint: Of the original's weights; empty where it is not known.
        more: Further lines for readers.
        masks_only: Whether the folder holds masks and no weights.
    """
    asked, looked = _shareable(settings), _shareable(calibration or {})
    label = method_labels().get(method, method)
    title = f"pruned by {label} to {_amount(asked)}"
    about = {"method": method, "settings": asked, "measured_sparsity": round(measured, 6), "calibration": looked}
    if fingerprint:
        about["fingerprint"] = fingerprint
    rows = {
        "original": _linked(origin),
        "method": f"{label} ({_listed(asked)})",
        "measured": f"{measured:.2%} of the weights of the pruned matrices are zero",
        "calibration": _listed(looked) if looked else "none: the method looks at no text",
        **(more or {}),
        "made with": f"semprune {version('semprune')}",
    }
    usage = MASKS.format(base=origin.hub or origin.name) if masks_only else f"{WEIGHTS}\n\n{CHECKED}"
    what = f"Masks of {origin.name}, {title}" if masks_only else f"{origin.name}, {title}"
    return write_card_of(folder, origin, what, about, rows.items(), usage, weights=not masks_only)


@singledispatch
def _card(report: Any, folder: Path, origin: Origin) -> Path:
    raise TypeError(f"report must be a PruneReport or a RemovalReport, got {type(report).__name__}")


@_card.register
def _(report: PruneReport, folder: Path, origin: Origin) -> Path:
    calibration = None if report.calibration is None else {"sha256": report.calibration}
    return write_pruning_card(
        folder, origin, report.method, report.settings, report.total_sparsity, calibration=calibration
    )


@_card.register
def _(report: RemovalReport, folder: Path, origin: Origin) -> Path:
    kept, looked = len(next(iter(report.kept.values()))), {"sha256": report.calibration}
    about = {
        "method": "remove_neurons",
        "settings": dict(report.settings),
        "neurons_kept": kept,
        "neurons_before": report.width,
        "parameters_removed": report.parameters_removed,
        "calibration": looked,
    }
    rows = {
        "original": _linked(origin),
        "method": f"MLP neurons taken out ({_listed(report.settings)})",
        "measured": f"{kept:,} of {report.width:,} neurons a block, {report.parameters_removed:,} parameters less",
        "calibration": _listed(looked),
        "made with": f"semprune {version('semprune')}",
    }
    title = f"{origin.name}, with {kept:,} of {report.width:,} neurons in each MLP"
    return write_card_of(folder, origin, title, about, rows.items(), WEIGHTS)


def _amount(settings: Mapping[str, Any]) -> str:
    pattern = settings.get("pattern")
    return str(pattern) if pattern else f"{100 * settings['sparsity']:g} % sparsity"


def _linked(origin: Origin) -> str:
    return ", ".join([origin.hub] if isinstance(origin.hub, str) else origin.hub or [origin.name])


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _shareable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values without paths of this machine, in the order in which stored masks have them too."""
    shown = {}
    for name, value in sorted(values.items()):
        local = isinstance(value, str) and (Path(value).is_absolute() or value.startswith(("~", ".")))
        shown[name] = short_name(value) if local else value
    return shown
