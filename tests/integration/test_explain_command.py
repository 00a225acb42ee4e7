"""The commands that read a fitted association: ``explain``, ``causal`` and ``mediate``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.integration.small_study import run, write_package
from tests.integration.tiny import tiny_backbone

from semprune.artefacts import CELL, TABLES, read_table, write_table
from semprune.attribution.association.association import FORMAT, Association
from semprune.backbones import load_backbone
from semprune.cli.__main__ import main
from semprune.io.tensor_files import read_sealed, write_sealed

CONCEPTS = ("sentiment.positive", "sentiment.negative", "movie_reviews.positive", "movie_reviews.negative")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, the data packages, and a run folder with an association and the contexts of one neuron."""
    folder = tmp_path_factory.mktemp("explain")
    tiny = tiny_backbone()
    tiny.model.save_pretrained(folder / "model")
    tiny.tokenizer.save_pretrained(folder / "model")
    write_package(folder / "package")
    lm = load_backbone(str(folder / "model"))
    neurons = sum(site.width for site in lm.sites)
    matrix = torch.rand(neurons, len(CONCEPTS), generator=torch.Generator().manual_seed(0)) + 0.05
    matrix[7] = 0
    gates = torch.full((neurons, len(CONCEPTS)), torch.nan)
    gates[:, 2] = torch.arange(neurons).float()
    gates[7, 2] = 1000.0  # carried most by a neuron that encodes nothing
    Association(
        matrix=matrix, t=20 * matrix, q=(matrix == 0).float(), gate=matrix != 0, any_concept=torch.rand(neurons),
        neuron_class=torch.ones(neurons, dtype=torch.long), mean=torch.zeros(neurons), rms=torch.ones(neurons),
        concepts=CONCEPTS, levels=("token", "token", "sequence", "sequence"), sites=lm.sites,
        fingerprint=lm.fingerprint, settings={"backbone": str(folder / "model"), "gate_share": 0.1}, gates=gates,
    ).save(folder / "run/association.safetensors")  # fmt: skip
    pd.DataFrame([{
        "neuron": "layers.1.mlp/5", "rank": 1, "before": "a truly ", "token": "dreadful", "after": " film",
        "dataset": "movie_reviews", "document_id": "d1", "activation": 7.25,
    }]).to_parquet(folder / "run/contexts.parquet")  # fmt: skip
    pd.DataFrame([{
        "neuron": "layers.1.mlp/5", "concept": "sentiment.negative", "method": "wanda", "pattern": "unstructured",
        "sparsity": 0.5, "calibration": "c4", "seed": 0,
        "calibration_sequences": 16, "calibration_length": 256, "dense": 0.2112, "pruned": 0.0084, "kept_in": 0.5,
        "kept_out": 0.25,
    }]).to_parquet(folder / "run/neuron_activations.parquet")  # fmt: skip
    return folder


def explained(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", "--run", str(folder / "run"), *arguments]) == 0
    return capsys.readouterr().out


def test_a_neuron_is_explained_from_the_run_and_the_model(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    out = explained(folder, capsys, "--neuron", "layers.1.mlp/5")
    assert "layers.1.mlp/5: specific" in out
    for said in (
        "encodes: its activation follows",
        "sentiment.negative",
        "a truly ‹dreadful› film",
        "7.2",
        "writes",
        "0.211",
        "0.0084",
        "wanda",
    ):
        assert said in out, said


def test_a_neuron_without_discoveries_or_contexts_says_so(folder, capsys):
    out = explained(folder, capsys, "--neuron", "layers.0.mlp/7")
    assert "none of the association's concepts" in out
    assert "kept no contexts" in out
    assert "carries (place among causal gates)" in out


def test_a_concept_whose_gates_were_learned_shows_who_encodes_and_who_carries_it(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    carried = {"target": "sentiment", "concepts": "movie_reviews.positive", "dataset": "movie_reviews",
               "ranking": "gates", "neuron": "layers.0.mlp/7", "rank": 1, "k": 9, "n": 12, "dense": 0.5,
               "together": 0.4, "alone": 0.0625, "alone_low": 0.0, "alone_high": 0.1, "with_others": 0.125,
               "with_others_low": 0.0, "with_others_high": 0.2, "excited_by": "a ‹film›",
               "writes": "'good'"}  # fmt: skip
    write_table(folder / "run", "carriers", pd.DataFrame([carried]))
    out = explained(folder, capsys, "--concept", "movie_reviews.positive")
    for said in (
        "is encoded by: 95",
        "is carried by: the first of 9 causal gates",
        "8 of the first 9 gates are",
        "0.0625",
    ):
        assert said in " ".join(out.split()), said
    assert max(map(len, out.splitlines())) <= 80
    write_table(folder / "run", "carriers", pd.DataFrame([carried | {"concepts": "bbc_news.sport"}]))
    assert "0.0625" not in explained(folder, capsys, "--concept", "movie_reviews.positive")
    by_gates = explained(folder, capsys, "--concept", "movie_reviews.positive", "--ranking", "gates")
    assert "is encoded by" not in by_gates
    assert by_gates.split("carried by")[1].index("layers.0.mlp/7") > 0
    assert "was not learned" in explained(folder, capsys, "--concept", "sentiment.negative")
    (folder / "run/carriers.parquet").unlink()


def test_a_concept_lists_its_strongest_neurons(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    out = explained(folder, capsys, "--concept", "sentiment.negative")
    assert "sentiment.negative is encoded by: 95 discoveries" in out
    assert out.count("specific") >= 10


def test_what_the_run_kept_is_told_without_the_model(folder, capsys, monkeypatch):
    monkeypatch.setattr("semprune.backbones.load_backbone", lambda name: pytest.fail("the model was loaded"))
    kept = {"neuron": "layers.1.mlp/5", "rank": [1, 2], "promoted": [" grim", " drab"], "promoted_logit": [2.5, 1.5],
            "suppressed": [" fun", " joy"], "suppressed_logit": [-2.0, -1.0]}  # fmt: skip
    path = folder / "run/written_tokens.parquet"
    pd.DataFrame(kept).to_parquet(path)
    try:
        out = explained(folder, capsys, "--neuron", "layers.1.mlp/5")
    finally:
        path.unlink()
    assert [line.split() for line in out.splitlines() if " drab" in line] == [["2", "drab", "1.5", "joy", "-1"]]


def test_a_text_shows_each_token_and_the_neuron(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    out = explained(folder, capsys, "--text", "a good film", "--neuron", "layers.1.mlp/5")
    for said in ("good", "film", "concepts at each token"):
        assert said in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "ConfigurationError: say what to explain"),
        (["--neuron", "layers.1.mlp/999"], "UnknownNeuronError: unknown neuron 'layers.1.mlp/999'; did you mean"),
        (["--concept", "sentiment.negativ"], "did you mean 'sentiment.negative'?"),
        (["--text", "", "--neuron", "layers.1.mlp/5"], "SettingError: --text must be a text that is not empty"),
    ],
)
def test_mistakes_are_one_line(folder, arguments, said, capsys):
    assert main(["explain", "--run", str(folder / "run"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_an_association_and_another_backbone_are_named(folder, capsys, tmp_path):
    assert main(["explain", "--run", str(tmp_path), "--text", "good"]) == 2
    assert "CorruptArtefactError" in capsys.readouterr().err
    source = folder / "run/association.safetensors"
    header, tensors = read_sealed(source, kind=FORMAT)
    header["fingerprint"]["weights_sha256"] = "0" * 64
    write_sealed(tmp_path / "association.safetensors", tensors, header, kind=FORMAT)
    assert main(["explain", "--run", str(tmp_path), "--text", "good"]) == 2
    assert "BackboneMismatchError" in capsys.readouterr().err


def write_causal(folder: Path, **changes: object) -> Path:
    settings = {
        "run": str(folder / "run"), "output": str(folder / "checked"), "backbone": {"name": str(folder / "model")},
        "limit": 12, "gradient_items": 6, "shares": [0.05, 0.1], "draws": 1,
        "domain_sequences": 2, "doses": [0.001, 1000.0],
        "text": {"calibration": "wiki", "sequences": 4, "length": 16},
        "specificity": ["sentiment.positive", "sentiment.negative"], "carriers": 0,
    }  # fmt: skip
    path = folder / "causal.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path


def board_tags(folder: Path) -> list[str]:
    """Figures on a TensorBoard."""
    read = EventAccumulator(str(folder))
    read.Reload()
    return [str(tag) for tag in read.Tags()["images"]]


def test_the_causal_command_writes_its_tables(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    by_gates = {"ranking": "gates", "concepts": ["movie_reviews.positive"]}
    asked = write_causal(folder, carriers=3, **by_gates, specificity=[])
    assert run(folder, ["causal", "--config", str(asked)]) == 0, capsys.readouterr().err
    table = pd.read_parquet(folder / "checked/causal.parquet")
    assert {"gates", "global", "gradient_activation", "mean_ablation_gradient"} <= set(table["selection"])
    assert {"concept_logprob", "label_logprob"} <= set(table["metric"])
    assert table["share"].nunique() == 2
    points, doses = (read_table(folder / "checked", name) for name in ("frontier", "frontier_doses"))
    assert points is not None
    assert doses is not None
    texts = {f"{of}_{text}" for of in ("kl", "log_perplexity") for text in ("general", "domain")}
    assert set(points["measure"]) == {"auroc_lost", "concept_logprob_lost", *texts}
    assert set(points["selection"]) == set(table["selection"]) - {"dense"}
    assert not points.duplicated(list(TABLES["frontier"].keys)).any()
    assert not doses.duplicated(list(TABLES["frontier_doses"].keys)).any()
    assert doses.loc[doses["dose"] == 1000, "lost"].isna().all()
    carried = read_table(folder / "checked", "carriers")
    assert carried is not None
    assert carried["rank"].tolist() == [1, 2, 3]
    assert set(carried["k"]) == {9}
    assert board_tags(folder / "checked/lightning_logs/causal") == ["causal/frontier"]
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert all(text in shown for text in ("after mean-ablation", "KL, domain", "not reached (<", "at 0.001 nats"))


def test_the_causal_check_has_a_row_for_each_ranking(folder, capsys):
    asked = ["score", "lape", "probe", "integrated_gradients", "conductance"]
    change = {"rankings": asked, "words": ["sentiment.positive", "sentiment.negative"]}
    path = write_causal(folder, **change, shares=[0.05], documents=12, output=str(folder / "ranked"))
    assert run(folder, ["causal", "--config", str(path)]) == 0, capsys.readouterr().err
    table = pd.read_parquet(folder / "ranked/causal.parquet")
    pairs = pd.read_parquet(folder / "ranked/causal_specificity.parquet")
    assert (pairs["measured"] == "specificity").sum() == 2
    controls = {"dense", "association", "matched_random", "random", "mean_activation", "global"}
    assert set(table["selection"]) == {*asked, *controls}
    by_auroc = table[table["metric"] == "auroc"].set_index("selection")["value"]
    assert by_auroc["score"] == by_auroc["association"]  # the default ranking, twice


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"rankings": ["beauty"]},
            "SettingError: ranking must be one of strength, effect, t, score, raw_effect, gates, cond",
        ),
        ({"rankings": ["mean_activation"]}, "SettingError: rankings must be named otherwise than association, dense"),
        ({"concepts": ["sentiment.negativ"]}, "did you mean 'sentiment.negative'?"),
        ({"target": "topic"}, "no class of a data set of family 'topic'"),
        ({"dataset": "movie_review"}, "did you mean 'movie_reviews'?"),
        ({"shares": []}, "`shares` is empty"),
        ({"ranking": "gates", "concepts": ["sentiment.negative"]}, "NoGatesError: no gates were learned for"),
        ({"ranking": "gates", "concepts": ["movie_reviews.positive"]}, "NoGatesError: no gates were learned for"),
        ({"doses": []}, "doses must be one dose or more"),
        ({"dataset": "sst2"}, "Pass --domain_sequences 0 to read general text alone"),
        ({"limit": 1}, "limit must be enough that items of two classes"),
        ({"run": "nowhere"}, "CorruptArtefactError"),
    ],
)
def test_mistakes_in_a_causal_check_are_one_line(folder, change, said, capsys):
    assert run(folder, ["causal", "--config", str(write_causal(folder, **change))]) == 2
    assert said in capsys.readouterr().err


def mediate_line(folder: Path, *options: str) -> list[str]:
    quick = ["--limit=12", "--gradient_items=6", "--share=0.05", "--calibration_sequences=2", "--calibration_length=16"]
    return ["mediate", "--run", str(folder / "run"), "--backbone.name", str(folder / "model"),
            "--output", str(folder / "mediated"), *quick, *options]  # fmt: skip


def test_mediation_is_a_table_of_the_run_that_a_narrow_terminal_shows_whole(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    options = ["--methods=[magnitude,wanda]", "--protect=[general]", "--datasets=[movie_reviews,sst2]"]
    options += ["--positions=[all,readout]"]
    assert run(folder, mediate_line(folder, *options)) == 0, capsys.readouterr().err
    table = read_table(folder / "mediated", "mediation")
    assert table is not None
    assert len(table) == 3 * 2 * 2 * 2 * 3 * 2  # models, data sets, positions, rankings, sets, directions
    assert not table.duplicated([*CELL, *TABLES["mediation"].keys]).any()
    assert set(table["calibration"]) == {"", "c4", "c4 keeping general"}
    assert (set(table["prompt"]), set(table["label"])) == ({"review", "harness"}, {""})
    assert (table["k"] == (table["neurons"] == "others").map({True: 92, False: 4})).all()
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    assert all(name in shown for name in ("wanda-0.5-c4-2x16-0", "first 4", "all other 92", "4 matched, 3"))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--rankings=[beauty]", "SettingError: ranking must be one of strength, effect"),
        ("--layers=[0]", "SettingError: layers must be a first and a last layer, as [0, 14], got [0]"),
        ("--layers=[1,0]", "SettingError: layers must be a first and a last layer within 0 … 1"),
        ("--positions=[last]", "'all', 'before_readout', 'readout'"),
        ("--datasets=[piqa]", "SettingError: datasets must be a data set with classes"),
        ("--prompt=aloud", "UnknownPromptError: "),
        ("--methods=[wnda]", "did you mean 'wanda'?"),
        ("--draws=1", "SettingError: draws must be at least 2, got 1"),
        ("--protect=[beauty]", "UnknownProtectionError: unknown thing to protect 'beauty'"),
        ("--pattern=2of4", "SettingError: pattern must be N:M"),
    ],
)
def test_mistakes_in_a_mediation_are_one_line(folder, option, said, capsys):
    assert run(folder, mediate_line(folder, option)) == 2
    assert said in capsys.readouterr().err


def test_layers_that_a_model_has_not_are_refused_before_it_is_loaded(folder, capsys, monkeypatch):
    monkeypatch.setattr("semprune.cli.commands.mediate.load_backbone", lambda *_, **__: pytest.fail("it was loaded"))
    assert run(folder, mediate_line(folder, "--layers=[0,9]")) == 2
    assert "SettingError: layers must be a first and a last layer within 0 … 1" in capsys.readouterr().err
