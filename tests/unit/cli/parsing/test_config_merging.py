"""One configuration after another: who takes another one's place brings its own settings."""

import pytest
import yaml

from semprune.cli.__main__ import main

FIRST = {
    "data": {"class_path": "DocumentDataModule", "init_args": {"datasets": ["cb"], "limit": 33, "max_length": 44}},
    "trainer": {
        "callbacks": [{"class_path": "Wanda", "init_args": {"sparsity": 0.7, "batch_size": 3}}],
        "logger": {"class_path": "TensorBoardLogger", "init_args": {"save_dir": "logs", "name": "own"}},
    },
}


@pytest.fixture
def printed(tmp_path, capsys):
    """What ``fit`` makes of the first configuration and what follows it."""

    def run(following, *options):
        paths = []
        for place, config in enumerate((FIRST, following)):
            path = tmp_path / f"{place}.yaml"
            path.write_text(yaml.safe_dump(config))
            paths += ["--config", str(path)]
        with pytest.raises(SystemExit):
            main(["fit", *paths, *options, "--print_config"])
        return yaml.safe_load(capsys.readouterr().out)

    return run


def test_a_callback_in_another_one_s_place_brings_its_own_settings(printed):
    (callback,) = printed({"trainer": {"callbacks": [{"class_path": "RIA"}]}})["trainer"]["callbacks"]
    assert callback["class_path"] == "semprune.RIA"
    assert (callback["init_args"]["sparsity"], callback["init_args"]["batch_size"]) == (None, 8)


def test_a_list_replaces_the_list_before_it_entry_by_entry(printed):
    wanda = {"class_path": "Wanda", "init_args": {"pattern": "2:4"}}
    (callback,) = printed({"trainer": {"callbacks": [wanda]}})["trainer"]["callbacks"]
    assert (callback["init_args"]["sparsity"], callback["init_args"]["pattern"]) == (None, "2:4")


def test_a_class_of_one_s_own_has_its_own_settings(printed):
    data = printed({}, "--data", "CalibrationDataModule", "--data.length", "16")["data"]
    assert data["class_path"] == "semprune.CalibrationDataModule"
    assert (data["init_args"]["batch_size"], data["init_args"]["length"]) == (8, 16)
    own = printed({"data": {"class_path": "semprune.data.EvaluationDataModule", "init_args": {"datasets": ["sst2"]}}})
    assert own["data"]["init_args"]["limit"] == 200


def test_the_same_class_goes_on_with_what_was_said(printed):
    more = {"data": {"class_path": "DocumentDataModule", "init_args": {"limit": 7}}}
    data = printed(more, "--data.max_length", "45")["data"]["init_args"]
    assert (data["datasets"], data["limit"], data["max_length"]) == (["cb"], 7, 45)


def test_a_logger_keeps_where_it_writes(printed):
    logger = printed({"trainer": {"logger": {"class_path": "CSVLogger"}}})["trainer"]["logger"]
    assert (logger["init_args"]["save_dir"], logger["init_args"]["name"]) == ("logs", "own")
