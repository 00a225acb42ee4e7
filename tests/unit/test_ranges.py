"""Every number that a user sets has a range in its type; values outside of it are refused before any work starts."""

import dataclasses
import inspect
import math
from functools import partial
from typing import Annotated, get_args, get_origin, get_type_hints

import numpy as np
import pytest

import semprune
from semprune import Protection
from semprune.attribution.ablation.specificity import causal_specificity
from semprune.attribution.controls.control_task import control_task, random_weight_control
from semprune.attribution.controls.list_sensitivity import list_sensitivity
from semprune.attribution.fit.closed_form import fit_closed_form
from semprune.cli.__main__ import main
from semprune.cli.commands.causal import CausalCommandConfig
from semprune.cli.commands.controls import ControlsConfig
from semprune.cli.commands.influential import InfluentialConfig
from semprune.data import load_documents, load_items
from semprune.data.registry import CalibrationSpec, DatasetSpec
from semprune.data.settings import CalibrationSettings, DocumentSettings
from semprune.errors import SempruneError, SettingError, SparsityRangeError
from semprune.evaluation.rolling import rolling_loglikelihood, text_perplexity
from semprune.pruning.callbacks.pruning import PruningCallback
from semprune.pruning.methods import methods
from semprune.pruning.removal.remove import remove_neurons
from semprune.pruning.selection.allocation import OWL
from semprune.pruning.settings import PruneSettings
from semprune.pruning.streamed.config import PruneConfig
from semprune.ranges import check_ranges, check_value, checked, ranges_of
from semprune.study.config.schema import StudyConfig
from semprune.types import Count, Filled, Length, Limit, Range, Seed, Share, Sparsity, TokenBudget

CONFIGS = [StudyConfig, ControlsConfig, CausalCommandConfig, InfluentialConfig, PruneConfig]
PARTS = [CalibrationSettings, DocumentSettings, OWL, PruneSettings, DatasetSpec, CalibrationSpec]
FUNCTIONS = [
    semprune.NeuronSemanticAttribution.__init__, semprune.CalibrationDataModule.__init__,
    semprune.DocumentDataModule.__init__, semprune.EvaluationDataModule.__init__, PruningCallback.__init__,
    semprune.evaluate, semprune.loglikelihood, semprune.causal_check, semprune.explain, semprune.prune_model,
    load_items, load_documents, rolling_loglikelihood, text_perplexity, remove_neurons, causal_specificity,
    list_sensitivity, control_task, random_weight_control, fit_closed_form,
]  # fmt: skip
BAD = [-1, 0, -0.5, 2.5, math.nan, math.inf, -math.inf, 2**40, True, "many", [], [0], [math.nan], None]
"""No setting takes all of these; each takes or refuses each, as its range says."""


def numbers_in(hint):
    """Number types inside of a type that no range goes with."""
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        return [] if any(isinstance(mark, Range) for mark in marks) else numbers_in(base)
    return [hint] if hint in (int, float) else [each for part in get_args(hint) for each in numbers_in(part)]


def parts_of(config):
    """A configuration's class with the classes of its parts, by where they stand."""
    yield "", config
    for name, hint in get_type_hints(config).items():
        for kind in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(kind):
                yield name, kind


@pytest.mark.parametrize("kind", [*CONFIGS, *PARTS], ids=lambda kind: kind.__name__)
def test_every_number_of_every_configuration_has_a_range(kind):
    for _, part in parts_of(kind):
        hints = get_type_hints(part, include_extras=True)
        assert [name for name, hint in hints.items() if numbers_in(hint) and name != "pattern"] == []


@pytest.mark.parametrize("method", list(methods().values()), ids=list(methods()))
def test_every_number_of_every_method_has_a_range(method):
    hints = get_type_hints(type(method), include_extras=True)
    assert [name for name in method.option_fields() if numbers_in(hints[name])] == []


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__qualname__)
def test_every_number_of_every_call_has_a_range(function):
    for name, text in inspect.get_annotations(inspect.unwrap(function)).items():
        known = not any(word in text for word in ("PreTrained", "Tensor"))  # the first is not there at run time
        if known and name not in ("return", "pattern"):  # a pattern that is a number is refused with why it is one
            hint = eval(text, inspect.unwrap(function).__globals__)
            assert numbers_in(hint) == [], name


def test_a_number_without_a_range_is_seen():
    assert numbers_in(int | None) == [int]
    assert numbers_in(list[float]) == [float]
    assert numbers_in(Limit | list[Count]) == []


REQUIRED = {Protection: {"what": "sentiment"}}
"""What a part cannot be made without."""


def with_value(config, where, part, name, value):
    """A configuration with one value changed, in itself or in a part (which may be null by default)."""
    if not where:
        return dataclasses.replace(config, **{name: value})
    given = getattr(config, where) or part(**REQUIRED.get(part, {}))
    return dataclasses.replace(config, **{where: dataclasses.replace(given, **{name: value})})


def refusal(make):
    """What is said of a configuration, while it is made or later; None where it is taken."""
    try:
        check_ranges(make())
    except SempruneError as error:
        return str(error)


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_what_lies_outside_is_refused_by_its_full_name(kind):
    check_ranges(kind())
    tried = 0
    for where, part in parts_of(kind):
        for name, hint in get_type_hints(part, include_extras=True).items():
            marks = ranges_of(hint)
            if not marks:
                continue
            full, refused = f"{where}.{name}".lstrip("."), 0
            for value in BAD:
                said = refusal(partial(with_value, kind(), where, part, name, value))
                assert said is None or said.startswith((f"{full} must be ", "sparsity must be "))
                refused += said is not None
                flat = value if isinstance(value, list) else [value]
                listed = isinstance(marks[0], Filled)
                assert said is not None or value is None or listed or all(each in marks[0] for each in flat)
            assert refused >= 3, full
            tried += 1
    assert tried >= 4


@pytest.mark.parametrize(
    ("value", "hint", "said"),
    [
        (-5, Limit, "x must be at least 1, or null for all, got -5."),
        (0, TokenBudget, "x must be at least 1, or auto, got 0."),
        ("all", TokenBudget, "x must be a whole number, at least 1, or auto, got 'all'."),
        (2.0, Count, "x must be a whole number, at least 1, got 2.0."),
        (True, Count, "x must be a whole number, at least 1, got True."),
        (math.nan, Share, r"x must be in (0, 1), got nan."),
        (2**32, Seed, "x must be at least 0 and at most 4294967295, got 4294967296."),
        ([4, 1], Length | list[Length], "x must be at least 2, got 1."),
        (7, list[Seed], "x must be a list, got 7."),
        ("7", list[Seed], "x must be a list, got '7'."),
        ([], Annotated[list[str], Filled("one or more")], "x must be one or more, got []."),
    ],
)
def test_messages_say_what_is_allowed(value, hint, said):
    with pytest.raises(SettingError) as caught:
        check_value("x", value, hint)
    assert str(caught.value) == said


def test_numbers_of_numpy_are_numbers_and_a_percentage_is_guessed():
    check_value("x", np.int64(3), Count)
    check_value("x", np.float32(0.5), Share)
    check_value("x", "auto", TokenBudget)
    check_value("x", None, Sparsity | None)
    with pytest.raises(SparsityRangeError, match="A percentage"):
        check_value("x", [0.5, 50], list[Sparsity])


def test_calls_are_checked_wherever_a_value_is_given():
    @checked
    def drawn(name: "Absent", draws: Count = 3, *, seeds: list[Seed] = [0]) -> tuple:  # noqa: B006
        return name, draws, seeds

    assert drawn("a", 2, seeds=[1]) == ("a", 2, [1])
    for given, named in ((("a", 0), {}), (("a",), {"draws": 0}), (("a",), {"seeds": [-1]})):
        with pytest.raises(SettingError):
            drawn(*given, **named)
    with pytest.raises(TypeError):
        drawn("a", 2, 3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: semprune.evaluate(None, ["sst2"], limit=-5), "limit must be at least 1, or null for all"),
        (lambda: semprune.loglikelihood(None, None, [], max_length=0), "max_length must be at least 1"),
        (lambda: semprune.NeuronSemanticAttribution(learning_rate=math.nan), "learning_rate must be above 0, got nan"),
        (lambda: semprune.DocumentDataModule(["sst2"], limit=0), "limit must be at least 1, or null for all"),
        (
            lambda: semprune.prune_model(None, None, method="sparsegpt", sparsity=0.5, block="a"),
            "block must be a whole",
        ),
        (
            lambda: semprune.prune_model(None, None, method="ria", sparsity=0.5, exponent=math.inf),
            "exponent must be ≥ 0",
        ),
        (lambda: load_items("sst2", limit=-1), "limit must be at least 1, or null for all"),
    ],
)
def test_calls_refuse_what_configurations_refuse(call, said):
    with pytest.raises(SempruneError, match=said):
        call()


FIT, STUDY = ["fit", "--config", "configs/fit.yaml"], ["study", "--config", "configs/study/quickstart.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*FIT, "--model.learning_rate", ".nan"], "learning_rate must be above 0, got nan"),
        ([*FIT, "--model.concepts", "[]"], "concepts must be one concept or more, got []"),
        ([*FIT, "--data.limit", "-5"], "SettingError: limit must be at least 1, or null for all, got -5"),
        (["test", "--config", "configs/test.yaml", "--data.limit", "-5"], "SettingError: limit must be at least 1"),
        (["controls", "--q", "-1"], "q must be in (0, 1], got -1"),
        (["controls", "--controls", "[]"], "controls must be one control or more, got []"),
        (["controls", "--seeds", "[0, -1]"], "seeds must be at least 0, got -1"),
        ([*STUDY, "--limit", "-5"], "limit must be at least 1, or null for all, got -5"),
        ([*STUDY, "--neurons_per_concept", "0"], "neurons_per_concept must be at least 1, got 0"),
        ([*STUDY, "--fit.concepts", "[]"], "fit.concepts must be one concept or more, got []"),
        ([*STUDY, "--fit.datasets", "[]"], "fit.datasets must be one data set or more, got []"),
        ([*STUDY, "--calibration_sequences", "[8, 0]"], "calibration_sequences must be at least 1, got 0"),
        ([*STUDY, "--causal.share", "2"], "causal.share must be in (0, 1), got 2"),
        ([*STUDY, "--causal.draws", "0"], "causal.draws must be at least 1, got 0"),
        ([*STUDY, "--causal.family", "sentimnt"], "causal.family must be a family of the fit's data sets with classes"),
        ([*STUDY, "--causal.dataset", "piqa"], "causal.dataset must be a data set with classes"),
        (["prune", "--sparsity", "0.5", "--memory_limit", ".nan"], "memory_limit must be above 0 gigabytes, or null"),
        (["prune", "--sparsity", ".nan"], "SparsityRangeError: sparsity must be in [0, 1), got nan"),
        (["prune", "--sparsity", "0.5", "--method", "ria", "--options", "{exponent: a}"], "exponent must be ≥ 0"),
        (["recommend", "runs/none", "--top", "0"], "top must be at least 1, got 0"),
        (["causal", "--shares", "[0.5, 1.5]"], "shares must be in (0, 1), got 1.5"),
        (["influential", "--prior_strength", "0"], "prior_strength must be above 0, got 0"),
    ],
)
def test_commands_refuse_values_before_any_work(arguments, said, capsys, monkeypatch, tmp_path):
    def never(*_, **__):
        pytest.fail("a model was loaded")

    monkeypatch.setattr("semprune.backbones.loading.load.find_backbone", never)
    monkeypatch.setenv("COLUMNS", "400")
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
