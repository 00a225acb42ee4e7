"""Control task and negative control (equations.md S5): random labels for words, random weights for the model."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semprune.attribution.fit.closed_form import Batches, decoder_precision, fit_closed_form
from semprune.attribution.fit.design import valid_tokens
from semprune.attribution.fit.fitted import fitted_association
from semprune.attribution.fit.learner import Labeller, LearnerShape
from semprune.backbones import Backbone, describe
from semprune.ranges import checked
from semprune.types import Level, Seed

NEAREST = 10  # candidates of about the same frequency, for each word type


@dataclass(frozen=True)
class TypeLabeller:
    """Labels that hang on the token's type alone.

    Attributes:
        table: Which concepts each token id carries.
    """

    table: Bool[Tensor, "vocabulary concepts"]

    def __call__(
        self, input_ids: Int[Tensor, "documents tokens"], attention_mask: Int[Tensor, "documents tokens"]
    ) -> Bool[Tensor, "documents tokens concepts"]:
        """Label a batch."""
        labels: Tensor = self.table.to(input_ids.device)[input_ids] & attention_mask.bool()[..., None]
        return labels


def control_labeller(labeller: Labeller, batches: Batches, vocabulary: int, seed: int = 0) -> TypeLabeller:
    """For every word type of a concept a random other type of about its frequency, as the concept's control.

    Source: Hewitt and Liang (2019): a random label for each word type. Theirs are drawn from the labels' distribution;
    for rare concepts the frequency is matched type by type (ours), so that prevalence is about the same.

    Args:
        labeller: Labels of the real task.
        batches: Documents that types and their frequencies are counted in.
        vocabulary: Number of token ids.
        seed: Of the draw.
    """
    counts, carried = _type_counts(labeller, batches, vocabulary)
    random = torch.Generator().manual_seed(seed)
    table = torch.zeros(vocabulary, carried.shape[1], dtype=torch.bool)
    used = (counts > 0).nonzero()[:, 0]
    by_frequency = used[counts[used].argsort(stable=True)]
    for concept in range(carried.shape[1]):
        free = by_frequency[carried[by_frequency, concept] == 0]
        taken: set[int] = set()
        for kind in carried[:, concept].nonzero()[:, 0].tolist():
            near = (counts[free] - carried[kind, concept]).abs().argsort(stable=True)
            candidates = [k for k in free[near[: NEAREST + len(taken)]].tolist() if k not in taken][:NEAREST]
            if candidates:
                pick = candidates[int(torch.randint(len(candidates), (1,), generator=random))]
                taken.add(pick)
                table[pick, concept] = True
    return TypeLabeller(table)


def _type_counts(
    labeller: Labeller, batches: Batches, vocabulary: int
) -> tuple[Int[Tensor, " vocabulary"], Float[Tensor, "vocabulary concepts"]]:
    """How often each type occurs, and how often as each concept's evidence."""
    counts = torch.zeros(vocabulary, dtype=torch.long)
    carried: Tensor | None = None
    for batch in batches():
        valid = valid_tokens(batch)
        ids = batch.input_ids[valid].cpu()
        labels = labeller(batch.input_ids, batch.attention_mask)[valid].cpu()
        if carried is None:
            carried = torch.zeros(vocabulary, labels.shape[1])
        counts += torch.bincount(ids, minlength=vocabulary)
        carried.index_add_(0, ids, labels.float())
    return counts, carried if carried is not None else torch.zeros(vocabulary, 0)


@checked
def control_task(
    lm: Backbone, labeller: Labeller, shape: LearnerShape, fit: Batches, held_out: Batches, *, seed: Seed = 0
) -> pd.DataFrame:
    """Fit and read the real concepts and their controls.

    Args:
        lm: The frozen model.
        labeller: Labels of the real concepts.
        shape: The learner's shape.
        fit: Fitting documents.
        held_out: Documents to read from.
        seed: Of the controls.

    Returns:
        One row per token-level concept: ``average_precision`` (held out, by the surest neurons), ``control`` and
        ``selectivity``, their difference.

    Raises:
        ConceptWithoutEvidenceError: A concept or its control does not vary over the fitting documents.
    """
    control = control_labeller(labeller, fit, shape.vocabulary, seed)
    real, chance = (
        decoder_precision(lm, fit_closed_form(lm, labels, shape, fit), labels, held_out)
        for labels in (labeller, control)
    )
    columns = {"concept": shape.concepts, "average_precision": real.tolist(), "control": chance.tolist()}
    return pd.DataFrame(columns).assign(selectivity=(real - chance).tolist())


def random_weights(lm: Backbone, seed: int = 0) -> Backbone:
    """The same architecture and tokenizer with freshly drawn weights; torch's random state is left as it was.

    Args:
        lm: The backbone to copy the shape of.
        seed: Of the weights.

    Returns:
        A backbone with its own fingerprint, so that its association cannot be taken for the real one's.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = type(lm.model)(copy.deepcopy(lm.model.config))
    return describe(model.to(device=lm.device, dtype=lm.dtype), lm.tokenizer, f"{lm.name}-random-{seed}")


@checked
def random_weight_control(
    lm: Backbone,
    labeller: Labeller,
    shape: LearnerShape,
    fit: Batches,
    held_out: Batches,
    *,
    q: Level = 0.05,
    seed: Seed = 0,
) -> pd.DataFrame:
    """Fit the trained model and one of random weights alike, and compare what is found.

    Neurons of a random model do answer to words: every word has its own embedding. What training adds is therefore
    the difference between the two rows, never the first row alone.

    Returns:
        Rows ``trained`` and ``random``: ``discoveries`` (gated neuron × concept pairs), ``share`` of all pairs, mean
        held-out ``average_precision`` of the token-level concepts.
    """
    rows = []
    for name, model in (("trained", lm), ("random", random_weights(lm, seed))):
        learner = fit_closed_form(model, labeller, shape, fit)
        gate = fitted_association(learner, model.fingerprint, {}, q).gate
        precision = decoder_precision(model, learner, labeller, held_out).nanmean()
        counts = {"discoveries": int(gate.sum()), "share": float(gate.float().mean())}
        rows.append({"weights": name, **counts, "average_precision": float(precision)})
    return pd.DataFrame(rows)
