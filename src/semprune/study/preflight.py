"""What can be known of a study before it runs: whether concepts and classes have evidence, and what is measured."""

from __future__ import annotations

from collections import Counter

from rich.console import Console

from semprune.attribution.ablation.neuron_sets import combined_strength, family_classes
from semprune.attribution.fit.evidence import evidence, optional_concepts
from semprune.concepts import load_concepts
from semprune.data import dataset_spec
from semprune.io.whole_table import WholeTable
from semprune.study.checkpoints import COMPLETE
from semprune.study.worker import Worker

FEW_DOCUMENTS = 20
"""With fewer documents of a class its certainty, which is clustered by document, seldom makes a discovery (ours)."""


def preflight(worker: Worker, console: Console) -> None:
    """Print the evidence of concepts and classes, what is measured, and whether the causal check can be made.

    Args:
        worker: Of the study; its model is not run.
        console: Where tables go.
    """
    console.print(evidence_table(worker))
    for name, items in worker.data.datasets.items():
        console.print(f"  {name}: {len(items)} items, {', '.join(dataset_spec(name).metrics)}")
    if worker.config.causal is not None:
        console.print(f"  {discoveries_expected(worker)}")


def evidence_table(worker: Worker) -> WholeTable:
    """Tokens of each concept and texts of each class, to fit on and held out, with what comes of too few."""
    data, names = worker.data.documents, worker.config.fit.concepts
    concepts, optional = load_concepts(names), optional_concepts(names)
    fitted, held_out = (evidence(worker.lm, concepts, loader())
                        for loader in (data.train_dataloader, data.val_dataloader))  # fmt: skip
    table = WholeTable("concept or class", "to fit on", "held out", "", title="Evidence: tokens, or texts of a class")
    for name in fitted:
        without = "left out: no evidence" if name in optional else "no evidence: the fit will stop; leave it out"
        table.add_row(name, str(fitted[name]), str(held_out[name]), _note(fitted[name], held_out[name], without))
    own, apart = (Counter(f"{each.dataset}.{each.label}" for each in documents)
                  for documents in (data.train_documents, data.val_documents))  # fmt: skip
    for name in data.classes:
        without = "no text: the fit will stop; raise `fit.limit`, or leave its data set out"
        table.add_row(name, str(own[name]), str(apart[name]), _note(own[name], apart[name], without))
    return table


def _note(fitted: int, held_out: int, without: str) -> str:
    if not fitted:
        return without
    return "" if held_out else "none held out: how well it is found is not measured"


def discoveries_expected(worker: Worker) -> str:
    """Whether enough neurons will be discoveries for the causal check: counted of a finished fit, else expected."""
    causal, data = worker.config.causal, worker.data.documents
    assert causal is not None  # asked by a study that makes the check
    if (worker.addresses.fit / COMPLETE).is_file():
        association = worker.shared.association
        found = int((combined_strength(association, family_classes(association, causal.family)) > 0).sum())
        needed = max(1, int(causal.share * len(association.rms)))
        return f"causal check: {found} discoveries for {causal.family}" + (
            "" if found >= needed else f", fewer than the {needed} of share {causal.share:g}: it will be left out"
        )
    needed = max(1, int(causal.share * sum(site.width for site in worker.lm.sites)))
    documents = {(each.dataset, each.label, each.document_id) for each in data.train_documents}
    of_class = Counter(f"{dataset}.{label}" for dataset, label, _ in documents)
    own = [name for name in data.classes if dataset_spec(name.rpartition(".")[0]).family == causal.family]
    said = f"causal check: needs {needed} discoveries for {causal.family}, which are counted after the fit"
    if any(of_class[name] >= FEW_DOCUMENTS for name in own):  # their strengths add up: one is enough
        return said
    why = f"few are to be expected of fewer than {FEW_DOCUMENTS} documents of each class ({', '.join(own)})"
    return f"{said}; {why}: it is then left out"
