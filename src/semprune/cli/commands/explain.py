"""``semprune explain``: what a neuron, a concept or a text means to a fitted association, in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from semprune import attribution
from semprune.artefacts import read_table
from semprune.attribution.association.association import Association, load_association
from semprune.attribution.association.score import DEFAULT_RANKING, GATES, RANKINGS
from semprune.attribution.neurons.facets import SHOWN_NEURONS, Written, carried, closed_gates, facets, strongest_neurons
from semprune.cli.parsing.arguments import Parser, command_parser
from semprune.errors import ConfigurationError
from semprune.io.terminal import Terminal
from semprune.io.whole_table import WholeTable

if TYPE_CHECKING:  # what needs the model is loaded with it, by the packages' names
    from semprune.attribution.neurons.explain import TextEvidence
    from semprune.backbones import Backbone

FIRES = 0.75  # standard deviations, mean of a concept's strongest neurons: from here on it is shown


def explain_parser() -> Parser:
    """The parser of the command."""
    parser = command_parser(
        "explain",
        "What a neuron, a concept or a text means to a fitted association.",
        "--run RUN_DIR --neuron N | --concept C | --text TEXT",
        [
            "semprune explain --run runs/quickstart --concept sentiment.negative",
            "semprune explain --run runs/quickstart --neuron layers.14.mlp/767",
            'semprune explain --run runs/quickstart --text "a film so dull it hurts"',
        ],
    )
    parser.add_argument(
        "--run", type=Path, required=True, help="folder with association.safetensors: a study's or fit's"
    )
    parser.add_argument("--neuron", type=str, help="a neuron, as in layers.15.mlp/219")
    parser.add_argument("--concept", type=str, help="a concept, as in sentiment.negative")
    parser.add_argument("--text", type=str, help="a text: which concepts show at which token")
    parser.add_argument(
        "--ranking",
        type=str,
        default=DEFAULT_RANKING,
        help=f"order of a concept's neurons: {', '.join((*RANKINGS, GATES))}",
    )
    parser.add_argument("--backbone", type=str, help="the model, where it is not found by the name it was fitted with")
    return parser


def explain(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ConfigurationError: Nothing is asked for.
        CorruptArtefactError: The run folder has no readable association.
        UnknownNeuronError: There is no such neuron.
        UnknownConceptError: There is no such concept.
        BackboneMismatchError: The association is another backbone's.
    """
    given = explain_parser().parse_args(arguments)
    if given.neuron is None and given.concept is None and given.text is None:
        raise ConfigurationError("say what to explain: --neuron, --concept or --text. `semprune explain --help`.")
    association = load_association(given.run / "association.safetensors")
    rows = () if given.neuron is None else (association.index.row(given.neuron),)
    if given.concept is not None:
        association.ranking(given.concept, given.ranking)  # refuses wrong names before the model is loaded
    model = cache(lambda: backbone_of(association, given.backbone))
    written = written_in(association, given.run, model)
    if given.backbone is not None:
        model()  # refuses another one
    shown: list[RenderableType] = []
    if given.neuron is not None:
        shown += about_neuron(association, written, given.run, given.neuron)
    if given.concept is not None:
        shown += about_concept(association, written, given.run, given.concept, given.ranking)
    if given.text is not None:
        evidence = attribution.text_evidence(model(), association, given.text, rows)
        shown.append(text_table(association, evidence, given.neuron))
    Terminal().print(Group(*(Padding(each, (0, 0, 1, 0)) for each in shown)))


def backbone_of(association: Association, name: str | None = None) -> Backbone:
    """Load the model that an association was fitted to, by another name where one is given.

    Raises:
        BackboneMismatchError: That is another model.
    """
    load_backbone = import_module("semprune.backbones").load_backbone  # loads transformers, which takes seconds
    lm: Backbone = load_backbone(name or str(association.settings["backbone"]))
    association.require(lm.fingerprint)
    return lm


def written_in(association: Association, run: Path, model: Callable[[], Backbone]) -> Written:
    """What neurons write: as the run kept it, or asked of the model where it did not keep it of one of them."""
    kept = read_table(run, "written_tokens")

    def written(names: Sequence[str]) -> pd.DataFrame:
        if kept is not None and set(names) <= set(kept["neuron"]):
            return kept[kept["neuron"].isin(names)]
        return attribution.written_by(model(), association.index, names)

    return written


def about_neuron(association: Association, written: Written, run: Path, name: str) -> list[RenderableType]:
    """Everything known of one neuron: class, concepts, contexts, what it writes, dense against pruned."""
    row = association.index.row(name)
    kind = association.class_names()[row]
    head = Text(f"{name}: {kind}", style="bold")
    head.append(f", mean activation {association.mean[row]:.3g}, RMS {association.rms[row]:.3g}", style="not bold")
    parts: list[RenderableType] = [head]
    found = facets(association, row)
    encodes = "encodes: its activation follows these concepts"
    parts.append(_frame(found, encodes) if len(found) else Text("encodes none of the association's concepts"))
    gates = carried(association, row)
    if len(gates):
        parts.append(_frame(gates.rename(columns={"gates": "gates that close"}), "carries (place among causal gates)"))
    contexts = read_table(run, "contexts")
    parts += _contexts(contexts, [name])
    writes = written([name]).drop(columns="neuron")
    parts.append(_frame(writes, "writes (down-projection through the unembedding)"))
    activations = read_table(run, "neuron_activations")
    if activations is not None and (activations["neuron"] == name).any():
        columns = ["concept", "method", "sparsity", "calibration", "dense", "pruned", "kept_in", "kept_out"]
        own = activations.loc[activations["neuron"] == name, columns]
        parts.append(_frame(own, "dense against pruned (mean activation, share of weights kept)"))
    return parts


def about_concept(
    association: Association, written: Written, run: Path, concept: str, ranking: str = DEFAULT_RANKING
) -> list[RenderableType]:
    """A concept's first neurons with what they write, their contexts, and what pruning took of the concept."""
    encoding, carrying, names = [], carrying_neurons(association, written, run, concept), list[str]()
    if ranking != GATES:
        neurons = strongest_neurons(association, concept, written, ranking).rename(columns={"specificity": "ρ"})
        column = association.column(concept)
        found = association.matrix[association.gate[:, column], column]
        title = f"{concept} is encoded by: {len(found)} discoveries, {int((found > 0).sum())} excited; the strongest"
        names = list(neurons["neuron"])
        encoding.append(_frame(neurons, title) if names else Text(f"{concept}: no neuron is a discovery"))
    if carrying is None:
        unknown = "which neurons carry it was not learned: `semprune fit --model.gates [CLASS]`"
        encoding.append(Text(unknown, style="dim"))
    else:
        names += [name for name in carrying["neuron"] if name not in names]
    parts: list[RenderableType] = [*encoding, *carries_parts(association, concept, carrying)]
    parts += _contexts(read_table(run, "contexts"), names) if names else []
    loss = read_table(run, "semantic_loss")
    if loss is not None and (loss["concept"] == concept).any():
        own_loss = loss[(loss["concept"] == concept) & (loss["layer"] == -1)]
        columns = ["method", "sparsity", "calibration", "sl", "sl_random", "xsl", "xsl_low", "xsl_high"]
        parts.append(_frame(own_loss[columns], "lost by pruning (semantic loss; excess over matched neurons)"))
    return parts


def carrying_neurons(association: Association, written: Written, run: Path, concept: str) -> pd.DataFrame | None:
    """A concept's first gates, and what each carries where the run has measured it; None where none were learned."""
    if concept not in association.gated_concepts:
        return None
    found = strongest_neurons(association, concept, written, GATES)
    discovered = association.gate[association.rows(found["neuron"]), association.column(concept)]
    found["discovery"] = ["yes" if each else "no" for each in discovered.tolist()]
    shown = found[["neuron", "gates", "discovery", "effect", "writes"]]
    measured = read_table(run, "carriers")
    if measured is None or "concepts" not in measured:  # of before it was written down whose they are
        return shown
    of_concept = (measured["ranking"] == GATES) & (measured["concepts"] == concept)
    own = measured[of_concept].drop_duplicates("neuron")[["neuron", "alone", "with_others"]]
    return shown.merge(own, on="neuron", how="left") if len(own) else shown


def carries_parts(association: Association, concept: str, carrying: pd.DataFrame | None) -> list[RenderableType]:
    """The first gates, and how many neurons both encode and carry."""
    if carrying is None:
        return []
    column, count = association.column(concept), closed_gates(association) or SHOWN_NEURONS
    scores = association.ranking(concept, GATES)
    both = int(association.gate[scores.topk(count).indices, column].sum())
    said = (
        f"{both} of the first {count} gates are discoveries too ({both / count:.1%}; of all neurons "
        f"{float(association.gate[:, column].float().mean()):.1%}): to encode a concept and to carry it are two things."
    )
    return [_frame(carrying, f"{concept} is carried by: the first of {count} causal gates"), Text(said)]


def text_table(association: Association, evidence: TextEvidence, neuron: str | None) -> WholeTable:
    """One row per token: the concepts that show there, and the neuron's activation where one is asked for."""
    table = WholeTable(
        title=f"concepts at each token (mean of their strongest neurons ≥ {FIRES:g} standard deviations)"
    )
    table.add_column("token")
    if neuron is not None:
        table.add_column(neuron, justify="right")
    table.add_column("concepts")
    for place, token in enumerate(evidence.tokens):
        values, order = evidence.evidence[place].sort(descending=True)
        firing = [
            f"{association.concepts[c]} {value:.1f}"
            for value, c in zip(values.tolist(), order.tolist(), strict=True)
            if value >= FIRES
        ]
        cells = [Text(repr(token)[1:-1])]
        if neuron is not None:
            cells.append(Text(f"{evidence.neurons[place, 0]:.1f}"))
        table.add_row(*cells, Text(", ".join(firing[:4])))
    return table


def _contexts(contexts: pd.DataFrame | None, names: list[str]) -> list[RenderableType]:
    """Exciting tokens in context, of those neurons that the run kept them of."""
    own = pd.DataFrame() if contexts is None else contexts[contexts["neuron"].isin(names)]
    if own.empty:
        return [Text("the run kept no contexts here: pass --text to see where a neuron fires", style="dim")]
    table = WholeTable(title="excited most by")
    table.add_column("neuron", no_wrap=True)  # a name to copy
    for title in ("activation / RMS", "excited by", "from"):
        table.add_column(title)
    for row in own.to_dict("records"):
        line = Text(str(row["before"]).replace("\n", " "))
        line.append(f"‹{row['token']}›".replace("\n", " "), style="bold")
        line.append(str(row["after"]).replace("\n", " "))
        table.add_row(str(row["neuron"]), f"{row['activation']:.1f}", line, str(row["dataset"]))
    return [table]


def _frame(frame: pd.DataFrame, title: str) -> WholeTable:
    table = WholeTable(title=title, box=None, padding=(0, 1, 0, 0))
    for column in frame.columns:
        is_text = not pd.api.types.is_numeric_dtype(frame[column])
        title = str(column).replace("_", " ")
        is_prose = is_text and frame[column].astype(str).str.contains(" ").any()  # a name to copy stays whole
        table.add_column(title, justify="left" if is_text else "right", no_wrap=not is_prose)
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(value)) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "n/a" if value != value else f"{value:.3g}"
    return value.replace("\n", "\\n") if isinstance(value, str) else str(value)
