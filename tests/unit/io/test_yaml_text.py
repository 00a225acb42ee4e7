"""YAML within bounds: aliases that stand for too much are refused before anything walks over them."""

import pytest
import yaml

from semprune.cli.__main__ import main
from semprune.concepts.sources.own import parse_vocabulary
from semprune.data.registry.catalogue import read_dataset_yaml
from semprune.errors import DatasetSchemaError, VocabularySchemaError
from semprune.io.yaml_text import MOST_CHARACTERS, read_yaml

BOMB = "a0: &a0 [lol, lol]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
MERGED = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


def test_what_is_written_is_read_as_ever():
    text = "a: &x [1, 2.5, null, yes, 'no']\nb: *x\nc: {d: e}\n"
    assert read_yaml(text) == yaml.safe_load(text)
    words = [f"word{n}" for n in range(30_000)]
    assert read_yaml(yaml.safe_dump(words)) == words


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "stand for more"),
        (MERGED, "stand for more"),
        ("a: &a [*a]", "contains itself"),
        ("[" * 20_000, "nested too deeply"),
        (f"a: {'x' * MOST_CHARACTERS}", "characters, more than"),
        ("a: [1", "expected"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
    ids=["aliases", "merges", "ring", "depth", "size", "syntax", "object"],
)
def test_what_stands_for_too_much_is_an_error(text, said):
    with pytest.raises(yaml.YAMLError, match=said):
        read_yaml(text)


@pytest.mark.timeout(60)
def test_every_reader_refuses_a_bomb(tmp_path, capsys):
    with pytest.raises(VocabularySchemaError, match="aliases stand for more"):
        parse_vocabulary("a.b", BOMB)
    with pytest.raises(DatasetSchemaError, match="aliases stand for more"):
        read_dataset_yaml("toy", BOMB)
    config = tmp_path / "study.yaml"
    config.write_text(BOMB)
    assert main(["study", "--config", str(config)]) == 2
    assert "ConfigurationError" in capsys.readouterr().err
    inline = "{" + BOMB.replace("\n", ", ").rstrip(", ") + "}"
    assert main(["prune", "--sparsity", "0.5", "--options", inline]) == 2
    assert "ConfigurationError" in capsys.readouterr().err
