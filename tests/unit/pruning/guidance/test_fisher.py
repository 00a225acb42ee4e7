"""Weights of tokens: against finite differences in float64; and what they do to statistics, against slow loops."""

import itertools

import pytest
import torch
from tests import models

from semprune.backbones.blocks.runner import calibrating
from semprune.errors import NonFiniteError
from semprune.pruning import prune_model
from semprune.pruning.guidance import fisher
from semprune.pruning.guidance.fisher import Fisher, fisher_weights
from semprune.pruning.guidance.protected_text import ProtectedText, ScoredBatch
from semprune.pruning.in_memory import dense_statistics
from semprune.pruning.in_memory import prune_model as pruning
from semprune.pruning.in_memory.calibration_pass import CalibrationPass
from semprune.pruning.in_memory.guiding import WeighedText, start_guides, weigh
from semprune.pruning.settings import PruneSettings
from semprune.pruning.statistics.combined import combined
from semprune.pruning.weights.linear import prunable_linears
from semprune.types import LayerStats

IDS = torch.tensor([[3, 5, 7, 9, 4], [8, 6, 2, 1, 1], [9, 9, 3, 2, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
LAST = torch.arange(3), torch.tensor([4, 2, 3])


def odds_at(ids, mask, last):
    """Rows that are scored by the log-odds of two words at a place of each."""
    places = torch.arange(len(ids)), torch.tensor(last)
    return ScoredBatch(ids, mask, places, lambda logits: (logits[:, 11] - logits[:, 12]).sum(), places[1], len(ids))


def protected(strength=1.0):
    """Two batches: of a row, and of two shorter ones."""
    first = odds_at(IDS[:1], MASK[:1], [4])
    rest = odds_at(IDS[1:, :4], MASK[1:, :4], [2, 3])
    return ProtectedText("toy", strength, (first, rest))


def linears_of(model):
    return [linear for block in prunable_linears(model).values() for linear in block]


def slow_weights(model, linear, step=1e-3):
    """The mean of squared central differences at each token of a matrix's output, divided by their mean; their sums."""
    text, rows, squares = protected(), [], torch.zeros(linear.weight.shape[0], dtype=torch.float64)
    for batch in text.batches:
        for row in range(len(batch.input_ids)):
            weights = torch.zeros(5, dtype=torch.float64)
            for token in range(int(batch.attention_mask[row].sum())):
                slopes = []
                for unit in range(linear.weight.shape[0]):
                    pair = [shifted(model, linear, batch, (row, token, unit), sign * step) for sign in (1, -1)]
                    slopes.append((pair[0] - pair[1]) / (2 * step))
                squares += torch.tensor(slopes, dtype=torch.float64) ** 2
                weights[token] = sum(slope**2 for slope in slopes) / len(slopes)
            rows.append(weights)
    found = torch.stack(rows)
    return found / found[found != 0].mean(), squares


def shifted(model, linear, batch, place, amount):
    def shift(_module, _args, output):
        output = output.clone()
        output[place] += amount
        return output

    handle = linear.module.register_forward_hook(shift)
    with torch.no_grad():
        score = batch.score(model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits[batch.places])
    handle.remove()
    return float(score)


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj"])
def test_weights_are_mean_squared_slopes_of_the_score(name):
    model = models.llama(hidden_size=8, intermediate_size=12, num_attention_heads=2).double()
    linear = next(each for each in linears_of(model) if each.name == name)
    fisher = fisher_weights(model, linears_of(model), protected())
    found = fisher.tokens[name]

    tokens, outputs = slow_weights(model, linear)
    torch.testing.assert_close(found.double(), tokens, rtol=5e-3, atol=1e-4)  # its norms are fp32
    own = fisher.outputs[name].double()
    torch.testing.assert_close(own / own.sum(), outputs / outputs.sum(), rtol=5e-3, atol=1e-4)
    assert (found[MASK == 0] == 0).all()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_in_the_last_block_only_the_readout_counts_behind_the_attention():
    model = models.llama()
    found = fisher_weights(model, linears_of(model), protected()).tokens["model.layers.1.mlp.up_proj"]
    assert (found != 0).nonzero().tolist() == [[0, 4], [1, 2], [2, 3]]


def test_an_expert_counts_its_own_tokens():
    model = models.mixtral(num_hidden_layers=1)
    model.set_experts_implementation("eager")
    found = fisher_weights(model, linears_of(model), protected()).tokens
    down = torch.stack([found[f"model.layers.0.mlp.experts.down_proj.{expert}"] != 0 for expert in range(4)])
    assert down.sum(0).tolist() == [[0, 0, 0, 0, 2], [0, 0, 2, 0, 0], [0, 0, 0, 2, 0]]  # two experts of each readout


def test_conv1d_and_flat_models_are_weighed_too():
    model = models.gpt2()
    found = fisher_weights(model, linears_of(model), protected())
    assert all(weights.shape == IDS.shape for weights in found.tokens.values())
    assert all(own.any() for own in found.outputs.values())


def test_a_score_that_is_no_number_is_refused():
    text = ProtectedText(
        "toy", 1.0, (ScoredBatch(IDS, MASK, LAST, lambda logits: logits.sum() * torch.nan, LAST[0], 3),)
    )
    with pytest.raises(NonFiniteError, match="score of what is protected"):
        fisher_weights(models.llama(), linears_of(models.llama()), text)


def guided(model, monkeypatch, strength=1.0, **settings):
    """Prune with the toy protection; returns report and the weights that were used."""
    used = []

    def remembered(*args, **kwargs):
        used.extend(weigh(*args, **kwargs))
        return used

    monkeypatch.setattr(pruning, "protected_texts", lambda *_: (protected(strength),))
    monkeypatch.setattr(pruning, "weigh", remembered)
    ids = torch.randint(3, 40, (5, 12), generator=torch.Generator().manual_seed(1))
    settings = {"method": "wanda", "sparsity": 0.5, "statistics": "dense", "protect": "toy", **settings}
    return prune_model(model, ids, **settings), used, ids


def inputs_of(model, name, ids, mask=None):
    seen = []
    handle = model.get_submodule(name).register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.no_grad():
        model(input_ids=ids, attention_mask=mask)
    handle.remove()
    return seen[0].double()


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_statistics_are_the_weighted_sums_of_float64_loops(monkeypatch, method):
    seen = []
    monkeypatch.setattr(
        "semprune.pruning.guidance.guide.combined", lambda *args: (seen.append(args), combined(*args))[1]
    )
    dense = models.llama()
    _, used, ids = guided(models.llama(), monkeypatch, method=method, strength=3.0)

    name = "model.layers.1.mlp.up_proj"
    place = [linear.name for linear in linears_of(dense)].index(name)
    general, kept, strength = seen[place]
    x, tau = inputs_of(dense, name, IDS, MASK), used[0].fisher.tokens[name].double()
    squares = torch.zeros(16, dtype=torch.float64)
    moments = torch.zeros(16, 16, dtype=torch.float64)
    for row in range(3):
        for token in range(5):
            squares += tau[row, token] * x[row, token] ** 2
            moments += 2 / 3 * tau[row, token] * torch.outer(x[row, token], x[row, token])
    torch.testing.assert_close(kept.sum_squares.double(), squares, rtol=1e-5, atol=1e-9)
    assert strength == 3.0
    everything = inputs_of(dense, name, ids)
    torch.testing.assert_close(general.sum_squares.double(), everything.square().sum((0, 1)), rtol=1e-5, atol=1e-6)
    if method == "sparsegpt":
        torch.testing.assert_close(kept.second_moments.double(), moments, rtol=1e-5, atol=1e-9)
        whole = combined(general, kept, strength).second_moments.double()
        first = 2 / 5 * torch.einsum("sti,stj->ij", everything, everything)
        expected = first / first.trace() + 3 * moments / moments.trace()
        torch.testing.assert_close(whole / general.second_moments.double().trace(), expected, rtol=1e-4, atol=1e-7)


def test_where_nothing_hangs_on_a_matrix_general_statistics_stay():
    general, nothing = LayerStats(torch.ones(2), 2.0, 1), LayerStats(torch.zeros(2), 0.0, 1)
    assert combined(general, nothing, 1.0) is general


@pytest.mark.parametrize("statistics", ["dense", "sequential"])
def test_what_is_protected_loses_less(monkeypatch, statistics):
    """In the sum over models: what a random one of 24 neurons loses is mostly chance."""
    lost = dict.fromkeys((1e-6, 30.0), 0.0)
    for strength, seed in itertools.product(lost, range(4)):
        model = models.llama(num_hidden_layers=3, seed=seed)
        before = model(input_ids=IDS, attention_mask=MASK).logits
        guided(model, monkeypatch, strength, method="sparsegpt", statistics=statistics)
        after = model(input_ids=IDS, attention_mask=MASK).logits
        gaps = [(after[place] - before[place])[[11, 12]].diff() for place in [(0, 4), (1, 2), (2, 3)]]
        lost[strength] += float(torch.stack(gaps).detach().square().sum())
    assert lost[30.0] < 0.6 * lost[1e-6]


def test_owl_shares_by_what_is_protected(monkeypatch):
    reports = [
        guided(
            models.llama(hidden_size=32, intermediate_size=64),
            monkeypatch,
            strength,
            allocation="owl",
            sparsity=0.6,
            owl_multiple=1.5,
        )[0]
        for strength in (1e-6, 30.0)
    ]
    assert reports[0].sparsity != reports[1].sparsity
    assert reports[0].total_sparsity == pytest.approx(reports[1].total_sparsity, abs=0.01)


def test_ranks_share_the_batches(monkeypatch):
    model, shares = models.llama(), []
    both = fisher_weights(model, linears_of(model), protected())
    whole = both.tokens
    monkeypatch.setattr(fisher, "several_ranks", lambda: True)
    monkeypatch.setattr(fisher, "scaled", lambda _name, weights: weights)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    for number in range(2):
        monkeypatch.setattr(fisher, "rank", lambda number=number: number)
        shares.append(fisher_weights(model, linears_of(model), protected(), distributed=True))
    ranks = [share.tokens for share in shares]
    for name, outputs in both.outputs.items():
        torch.testing.assert_close(shares[0].outputs[name] + shares[1].outputs[name], outputs)
    for name, weights in whole.items():
        total = ranks[0][name] + ranks[1][name]
        assert torch.equal(weights, total * (total.count_nonzero() / total.sum(dtype=torch.float64)).float())
        assert not ranks[0][name][1:].any()
        assert not ranks[1][name][0].any()


def test_weighed_text_keeps_its_text():
    assert WeighedText(protected(), Fisher({})).text.text_hash == protected(2.0).text_hash


def test_statistics_that_are_collected_once_keep_it_too(monkeypatch):
    monkeypatch.setattr(dense_statistics, "protected_texts", lambda *_: (protected(3.0),))
    whole, _, ids = guided(models.llama(), monkeypatch, strength=3.0, method="ria")
    model = models.llama()
    collected = dense_statistics.dense_statistics(model, ids, methods=["ria"], protect="toy")
    report = dense_statistics.prune_from(model, collected, method="ria", sparsity=0.5)
    assert report.mask_hash == whole.mask_hash
    assert report.settings == whole.settings


def test_short_rows_go_through_blocks_together_and_add_up_to_the_same():
    model, settings = models.llama(), PruneSettings(0.5, batch_size=1)
    linears = prunable_linears(model)
    with calibrating(model):
        weighed = weigh(model, linears, [protected()], distributed=False)
        (guide,) = start_guides(model, weighed, settings, "squares", distributed=False)
        alone = CalibrationPass.start(model, protected().tokens, settings, distributed=False, tau=guide.tau)
        assert (len(guide.runner.batches), len(alone.runner.batches)) == (1, 3)
        found = guide.gatherer.gather(guide.runner, 0, linears[0], guide.tau, advance=False)
        expected = guide.gatherer.gather(alone.runner, 0, linears[0], guide.tau, advance=False)
    for name, stats in found.items():
        torch.testing.assert_close(stats.sum_squares, expected[name].sum_squares)
