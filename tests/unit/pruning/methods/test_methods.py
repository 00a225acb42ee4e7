"""Methods by themselves: tensors in, tensors out."""

import dataclasses
import hashlib
import inspect
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from docstring_parser import parse as parse_docstring
from hypothesis import given
from hypothesis import strategies as st

from semprune.errors import ForeignMethodError, UnknownMethodError
from semprune.pruning import find_method
from semprune.pruning.callbacks import methods as callbacks
from semprune.pruning.callbacks.methods import CALLBACKS
from semprune.pruning.methods import method_labels, methods
from semprune.pruning.selection.keep import keeper
from semprune.pruning.settings import check_settings
from semprune.pruning.streamed.config import PruneConfig
from semprune.types import LayerStats


@st.composite
def problems(draw):
    """A weight and sums of squares with few values: ties within and between rows and columns."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    values = draw(st.lists(st.integers(-2, 2), min_size=rows * columns, max_size=rows * columns))
    squares = draw(st.lists(st.sampled_from([0.0, 1.0, 4.0]), min_size=columns, max_size=columns))
    return torch.tensor(values, dtype=torch.float32).reshape(rows, columns), torch.tensor(squares)


def slow_wanda(weight, squares, percent):
    kept = []
    for row in weight.double().tolist():
        scores = [abs(value) * square**0.5 for value, square in zip(row, squares.double().tolist(), strict=True)]
        pruned = sorted(range(len(row)), key=scores.__getitem__)[: len(row) * percent // 100]
        kept.append([j not in pruned for j in range(len(row))])
    return torch.tensor(kept)


@given(problems(), st.integers(0, 99))
def test_wanda_equals_a_slow_loop_in_every_tie_case(problem, percent):
    weight, squares = problem
    decision = find_method("wanda").prune(weight, LayerStats(squares, 1.0, 1), keeper("exact", percent / 100))

    assert torch.equal(decision.kept, slow_wanda(weight, squares, percent))
    assert decision.weight is None


@given(problems(), st.integers(0, 99), st.integers(-10, 10))
def test_wanda_does_not_depend_on_the_scale_of_weights_or_inputs(problem, percent, power):
    weight, squares = problem
    keep = keeper("exact", percent / 100)
    prune = find_method("wanda").prune
    expected = prune(weight, LayerStats(squares, 1.0, 1), keep).kept

    assert torch.equal(prune(weight * 2.0**power, LayerStats(squares, 1.0, 1), keep).kept, expected)
    assert torch.equal(prune(weight, LayerStats(squares * 4.0**power, 1.0, 1), keep).kept, expected)


@given(problems(), st.integers(0, 99))
def test_wanda_with_equal_inputs_is_magnitude_within_rows(problem, percent):
    weight, squares = problem
    keep = keeper("exact", percent / 100)
    decision = find_method("wanda").prune(weight, LayerStats(torch.ones_like(squares), 1.0, 1), keep)

    assert torch.equal(decision.kept, keep(weight.abs(), "row"))


AMOUNTS = st.sampled_from([(0.0, None), (0.3, None), (0.5, None), (0.9, None), (0, "2:4"), (0, "4:8"), (0, "1:4")])


def distinct(seed, rows=5, columns=16):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator), torch.rand(columns, generator=generator) + 0.1


@given(st.sampled_from(["magnitude", "wanda"]), AMOUNTS, st.integers(0, 99))
def test_pruning_what_is_pruned_changes_nothing_where_scores_do_not_change(name, amount, seed):
    weight, squares = distinct(seed)
    stats, keep = LayerStats(squares, 1.0, 1), keeper("exact", *amount)
    once = find_method(name).prune(weight, stats, keep).kept

    assert torch.equal(find_method(name).prune(weight * once, stats, keep).kept, once)


@given(st.sampled_from(["magnitude", "wanda", "ria"]), st.integers(0, 99), st.integers(0, 99), st.integers(0, 9))
def test_scored_masks_of_higher_sparsity_lie_inside_those_of_lower(name, one, other, seed):
    weight, squares = distinct(seed)
    low, high = (
        find_method(name).prune(weight, LayerStats(squares, 1.0, 1), keeper("exact", percent / 100)).kept
        for percent in sorted((one, other))
    )

    assert not (high & ~low).any()


@given(st.sampled_from(["magnitude", "wanda", "ria"]), AMOUNTS, st.integers(0, 9), st.randoms(use_true_random=False))
def test_scored_masks_follow_a_permutation(name, amount, seed, random):
    """Of rows and columns; with a pattern, of rows and runs."""
    weight, squares = distinct(seed)
    run = 1 if amount[1] is None else int(amount[1].split(":")[1])
    rows, runs = list(range(5)), list(range(16 // run))
    random.shuffle(rows)
    random.shuffle(runs)
    columns = [run * index + place for index in runs for place in range(run)]
    keep, prune = keeper("exact", *amount), find_method(name).prune
    moved = prune(weight[rows][:, columns], LayerStats(squares[columns], 1.0, 1), keep).kept

    assert torch.equal(moved, prune(weight, LayerStats(squares, 1.0, 1), keep).kept[rows][:, columns])


def test_wanda_reads_the_published_mean_where_it_was_gathered():
    weight, sums, mean = torch.ones(1, 2), torch.tensor([9.0, 1.0]), torch.tensor([1.0, 9.0])
    keep = keeper("exact", 0.5)

    assert find_method("wanda").prune(weight, LayerStats(sums, 1.0, 1), keep).kept.tolist() == [[True, False]]
    assert find_method("wanda").prune(weight, LayerStats(sums, 1.0, 1, mean), keep).kept.tolist() == [[False, True]]


def test_magnitude_compares_over_the_whole_matrix():
    weight = torch.tensor([[-5.0, 4.0], [1.0, -2.0]])
    decision = find_method("magnitude").prune(weight, None, keeper("exact", 0.5))

    assert decision.kept.tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_is_named_like_its_file_and_only_reads_its_inputs(name):
    method = find_method(name)
    inputs = torch.randn(20, 8)
    squares = inputs.square().sum(0)
    weight, stats = torch.randn(6, 8), LayerStats(squares, 20.0, 1, second_moments=2 * inputs.t() @ inputs)
    before = weight.clone()
    decision = method.prune(weight, stats, keeper("exact", 0.5))

    assert method.name == name
    assert decision.kept.dtype == torch.bool
    assert decision.kept.shape == weight.shape
    assert (~decision.kept).sum() == 24
    assert torch.equal(weight, before)


@pytest.mark.parametrize("name", sorted(methods()))
def test_from_every_method_follow_its_callback_its_configuration_and_its_label(name):
    method, callback = find_method(name), CALLBACKS[name]
    parameters = inspect.signature(callback).parameters
    help_of = {param.arg_name: param.description for param in parse_docstring(callback.__doc__).params}

    assert callback.__name__ == method_labels()[name] == method.label
    assert getattr(callbacks, method.label) is callback
    assert callback().name == name
    assert callback.__doc__.startswith(method.about)
    assert {option: parameters[option].default for option in method.options()} == method.options()
    assert ("batch_size" in parameters) == method.needs_statistics
    assert list(help_of) == list(parameters)
    assert all(text.endswith(".") for text in help_of.values())
    config = PruneConfig(method=name, sparsity=0.5, options=method.options())
    assert check_settings(config.method, config.settings()) == method


def test_labels_are_in_the_order_of_what_methods_read_and_ask():
    assert list(method_labels().values()) == ["Magnitude", "Wanda", "RIA", "SparseGPT"]


class Point:
    """An entry point of another distribution."""

    value, module = "own:METHOD", "semprune.types"
    dist = SimpleNamespace(name="own-pruning", version="1.2")

    def __init__(self, found):
        self.found = found

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (dataclasses.replace(find_method("wanda"), label="Wonder"), "is called 'wanda'"),
        (dataclasses.replace(find_method("wanda"), name="wonder", label="WANDA"), "as another method is"),
        (dataclasses.replace(find_method("wanda"), name="wonder", label="a b"), "'a b', which cannot name a class"),
        ("wanda", "is no Method but str"),
        (ImportError("no such module"), r"cannot be loaded \(ImportError: no such module\)"),
    ],
)
def test_what_another_distribution_offers_wrongly_is_refused_by_its_name(monkeypatch, found, fault):
    monkeypatch.setattr(import_module("semprune.pruning.methods"), "entry_points", lambda group: [Point(found)])
    with pytest.raises(ForeignMethodError, match=rf"own:METHOD that distribution own-pruning 1\.2 offers .*{fault}"):
        methods.__wrapped__()


def test_a_method_of_another_distribution_stands_beside_the_others(monkeypatch):
    own = dataclasses.replace(find_method("wanda"), name="own", label="Own")
    monkeypatch.setattr(import_module("semprune.pruning.methods"), "entry_points", lambda group: [Point(own)])
    assert list(methods.__wrapped__()) == ["magnitude", "own", "ria", "sparsegpt", "wanda"]


def test_the_source_of_a_method_of_another_distribution_is_known(monkeypatch):
    own = dataclasses.replace(find_method("wanda"), name="own", label="Own")
    package = import_module("semprune.pruning.methods")
    monkeypatch.setattr(package, "entry_points", lambda group: [Point(own)])
    monkeypatch.setattr(package, "find_method", {"own": own, "wanda": find_method("wanda")}.__getitem__)
    source = Path(import_module(Point.module).__file__).read_bytes()

    assert package.source_hash.__wrapped__("own") == hashlib.sha256(source).hexdigest()
    assert package.source_hash.__wrapped__("wanda") is None


def test_an_unknown_method_is_refused():
    with pytest.raises(UnknownMethodError, match="unknown pruning method 'wnda'; did you mean 'wanda'"):
        find_method("wnda")
