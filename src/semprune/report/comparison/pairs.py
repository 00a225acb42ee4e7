"""Which pruned models of two runs are compared, and what else the runs differ in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from semprune.artefacts import SETTING, records, stated_once
from semprune.errors import NothingInCommonError, SettingError
from semprune.report.run.labels import Setting
from semprune.report.run.load_run import RunArtefacts

_HOW = tuple(SETTING)
_LESS = ("method", "pattern", "sparsity")
_APART = ("backbone", "settings", "data", "calibration", "special_tokens", "versions", "semprune")
_NO_CAUSE = {"output", "store", "token_budget"}
"""Settings that change no figure: where things lie, and how many tokens a forward takes."""


class Pair(NamedTuple):
    """Two pruned models that are compared.

    Attributes:
        label: What both are called.
        first: Setting of the first run.
        second: Of the second.
    """

    label: str
    first: Setting
    second: Setting


def pair_settings(
    first: RunArtefacts, second: RunArtefacts, model_a: str | None = None, model_b: str | None = None
) -> list[Pair]:
    """Pruned models that go together: of the same method, amount, calibration and draw.

    Where no two are the same, those of the same method and amount; and where each run has one pruned model, these.

    Args:
        first: A run.
        second: Another.
        model_a: The one model of the first run to take, by its label; None takes all that have a partner.
        model_b: The one of the second run.

    Raises:
        SettingError: A run has no model of that label, or one of the two labels is missing.
        NothingInCommonError: The runs have no models that go together.
    """
    if model_a is not None or model_b is not None:
        chosen = _named(first, "model_a", model_a), _named(second, "model_b", model_b)
        return [_pair(*chosen)]
    for columns in (_HOW, _LESS):
        keys = [_by_key(run, columns) for run in (first, second)]
        common = [_pair(setting, keys[1][key]) for key, setting in keys[0].items() if key in keys[1]]
        if common:
            return common
    if len(first.settings) == len(second.settings) == 1:
        return [_pair(first.settings[0], second.settings[0])]
    raise NothingInCommonError(*([setting.label for setting in run.settings] for run in (first, second)))


def _pair(first: Setting, second: Setting) -> Pair:
    same = first.label == second.label
    return Pair(first.label if same else f"{first.label} → {second.label}", first, second)


def _named(run: RunArtefacts, option: str, label: str | None) -> Setting:
    found = next((setting for setting in run.settings if setting.label == label), None)
    if found is None:
        known = ", ".join(setting.label for setting in run.settings)
        raise SettingError(option, label, f"a pruned model of {run.folder}: {known}")
    return found


def _by_key(run: RunArtefacts, columns: tuple[str, ...]) -> dict[tuple[Any, ...], Setting]:
    """Settings by some of the columns that say how a model was pruned, where these tell it from all others.

    A model that looked at no calibration is one, however many calibration sets the run states it with.
    """
    results = stated_once(run.results[run.results["method"] != "dense"].drop_duplicates("setting"))
    rows = {row["setting"]: tuple(row[name] for name in columns) for row in records(results)}
    counts = Counter(rows.values())
    once = (each for each in run.settings if each.label in rows)
    return {rows[each.label]: each for each in once if counts[rows[each.label]] == 1}


def differing_settings(first: RunArtefacts, second: RunArtefacts) -> list[tuple[str, str, str]]:
    """What two runs were told, or ran on, differently.

    Returns:
        Name, the first run's value and the second's; empty where one says nothing of itself.
    """
    if first.provenance is None or second.provenance is None:
        return []
    one, other = (dict(_flat(run.provenance or {})) for run in (first, second))
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    return [(name, one.get(name, "–"), other.get(name, "–")) for name in names]


def _flat(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Dotted names and shown values of what may matter."""
    for part in _APART:
        found = provenance.get(part)
        for name, value in _leaves(found) if isinstance(found, dict) else [("", found)]:
            if part != "settings":
                yield f"{part}.{name}".rstrip("."), _text(value)
            elif name not in _NO_CAUSE:
                yield name, _text(value)


def _leaves(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, entry in value.items():
        if isinstance(entry, dict) and entry:
            yield from _leaves(entry, f"{before}{key}.")
        else:
            yield f"{before}{key}", entry


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if value is None or value == {}:
        return "none"
    return f"{value[:12]}…" if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)
