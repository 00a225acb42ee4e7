"""OWL: outliers by hand, the mean over weights, and models whose blocks give up different shares."""

import copy
import itertools

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from semprune.errors import EmptyCalibrationError, SettingError
from semprune.pruning import prune_model
from semprune.pruning.selection.allocation import outlier_share, owl_sparsities, shared_sparsities
from semprune.pruning.selection.keep import pruned_count


def test_outliers_are_counted_over_all_matrices_of_a_block():
    """Mean of 1 1 1 1 1 13 is 3: above 3 times 3 there is one, above 5 times 3 none."""
    scores = [torch.ones(2, 2), torch.tensor([[1.0, 13.0]])]

    assert outlier_share(scores, 3.0) == pytest.approx(1 / 6)
    assert outlier_share(scores, 5.0) == 0


def test_blocks_of_one_size_follow_the_published_formula():
    shares = [1.2, 0.4, 2.0, 0.9]
    low, high = min(shares), max(shares)
    scaled = [(share - low) * (1 / (high - low) * 0.08 * 2) for share in shares]
    kept = [value - sum(scaled) / 4 + (1 - 0.7) for value in scaled]

    assert owl_sparsities(shares, [5] * 4, 0.7, 0.08) == pytest.approx([1 - value for value in kept])


@given(
    st.lists(st.tuples(st.floats(0, 0.1), st.integers(1, 10**9)), min_size=1, max_size=8),
    st.integers(20, 80),
    st.floats(0, 0.09),
)
def test_the_mean_over_weights_is_the_asked_sparsity(blocks, percent, spread):
    shares, sizes = [share for share, _ in blocks], [size for _, size in blocks]
    found = owl_sparsities(shares, sizes, percent / 100, spread)
    mean = sum(value * size for value, size in zip(found, sizes, strict=True)) / sum(sizes)

    assert mean == pytest.approx(percent / 100)
    assert max(found) - min(found) <= 2 * spread + 1e-9


@given(st.lists(st.floats(0, 0.1), min_size=2, max_size=6))
def test_more_outliers_never_give_up_more(shares):
    assume(len(set(shares)) > 1)
    found = owl_sparsities(shares, [1] * len(shares), 0.5, 0.08)

    for (share, value), (other_share, other) in zip(
        sorted(zip(shares, found, strict=True)), sorted(zip(shares, found, strict=True))[1:], strict=False
    ):
        assert share == other_share or value >= other - 1e-12


def test_equal_shares_are_uniform():
    assert owl_sparsities([0.3, 0.3], [1, 9], 0.6, 0.08) == [0.6, 0.6]


def test_a_block_outside_the_range_is_refused():
    with pytest.raises(SettingError, match=r"owl_spread must be so small.*block 1 would get -0\.060.*got 0\.08"):
        owl_sparsities([0.1, 0.2], [1, 1], 0.02, 0.08)


@pytest.mark.parametrize("method", ["magnitude", "wanda", "ria", "sparsegpt"])
@pytest.mark.parametrize("selection", ["exact", "reference"])
def test_a_model_gives_up_less_where_outliers_are(llama, input_ids, method, selection):
    """Planted: two inputs of block 1 are forty times as large, so that its scores have outliers."""
    for name in ("input_layernorm", "post_attention_layernorm"):
        getattr(llama.model.layers[1], name).weight.data[:2] *= 40
    settings = {"method": method, "sparsity": 0.5, "allocation": "owl", "selection": selection}
    report = prune_model(llama, input_ids, **settings, owl_multiple=5.0, owl_spread=0.1)

    sizes = {name: mask.numel() for name, mask in report.masks.items()}
    kept = {
        block: sum(report.masks[name].sum().item() for name in sizes if f".{block}." in name)
        / sum(sizes[name] for name in sizes if f".{block}." in name)
        for block in (0, 1)
    }
    assert kept[0] == pytest.approx(0.4, abs=0.05)  # rows of 16 and 24 weights round
    assert kept[1] == pytest.approx(0.6, abs=0.05)
    assert report.settings["allocation"] == "owl"
    assert (report.settings["owl_multiple"], report.settings["owl_spread"]) == (5.0, 0.1)
    assert report.calibration is not None


def test_matrices_of_a_block_prune_the_blocks_count_exactly(llama, input_ids):
    llama.model.layers[1].input_layernorm.weight.data[:2] *= 40
    report = prune_model(llama, input_ids, method="magnitude", sparsity=0.5, allocation="owl", owl_spread=0.1)

    for name, mask in report.masks.items():
        share = 0.6 if ".0." in name else 0.4
        assert (~mask).sum() == int(mask.numel() * share + 1e-6)


def test_a_spread_of_zero_is_uniform(make_llama, input_ids):
    owl = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5, allocation="owl", owl_spread=0.0)
    uniform = prune_model(make_llama(), input_ids, method="wanda", sparsity=0.5)

    assert owl.mask_hash == uniform.mask_hash


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sparsity": 0.5, "allocation": "best"}, "allocation must be 'uniform' or 'owl', got 'best'"),
        ({"pattern": "2:4", "allocation": "owl"}, "allocation must be 'uniform' with a pattern"),
        ({"sparsity": 0.5, "owl_spread": 0.1}, "option of method 'wanda' must be one that it has"),
        ({"sparsity": 0.5, "allocation": "owl", "owl_spread": 0.6}, r"owl_spread must be in \[0, 0.5\)"),
        ({"sparsity": 0.5, "allocation": "owl", "owl_multiple": 0}, "owl_multiple must be > 0"),
        ({"sparsity": 0.02, "allocation": "owl", "owl_spread": 0.2}, "owl_spread must be so small"),
    ],
)
def test_bad_settings_are_refused_before_anything_changes(llama, input_ids, settings, match):
    before = copy.deepcopy(llama.state_dict())
    with pytest.raises(SettingError, match=match):
        prune_model(llama, input_ids, method="wanda", **settings)

    assert all(torch.equal(value, before[name]) for name, value in llama.state_dict().items())


def test_owl_needs_calibration_for_every_method(llama):
    with pytest.raises(EmptyCalibrationError):
        prune_model(llama, None, method="magnitude", sparsity=0.5, allocation="owl")


@given(st.lists(st.tuples(st.floats(1e-8, 1e8), st.integers(8, 10**7)), min_size=1, max_size=9), st.integers(0, 95))
def test_matrices_share_exactly_the_asked_number_and_more_hanging_on_one_gives_up_less(matrices, percent):
    saliency, sizes = zip(*matrices, strict=True)
    found = shared_sparsities(saliency, sizes, percent / 100)
    counts = [pruned_count(sparsity, size) for sparsity, size in zip(found, sizes, strict=True)]
    asked = pruned_count(percent / 100, sum(sizes))
    assert sum(counts) in range(asked - len(sizes), asked + 1)  # one of each stays whatever is asked
    assert sum(counts) == asked or any(count == size - 1 for count, size in zip(counts, sizes, strict=True))
    for (one, first), (other, second) in itertools.combinations(zip(saliency, found, strict=True), 2):
        least = 2 / min(sizes)
        assert one == other or (one < other) == (first > second) or abs(first - second) <= least


def test_matrices_on_which_as_much_hangs_are_uniform():
    assert [round(value, 2) for value in shared_sparsities([3.0, 3.0], [1000, 500], 0.6)] == [0.6, 0.6]
