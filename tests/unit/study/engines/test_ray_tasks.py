"""What Ray is started with: joining a cluster forbids to say how large it is."""

from __future__ import annotations

from typing import Any

import pytest
import ray

from semprune.errors import ConfigurationError
from semprune.study.config.schema import EngineConfig, StudyConfig
from semprune.study.engines.ray_tasks import run_on_ray


@pytest.mark.parametrize(
    ("address", "options", "given"),
    [
        ("", {}, {"address": "local", "num_cpus": 6}),
        ("", {"include_dashboard": False}, {"address": "local", "num_cpus": 6, "include_dashboard": False}),
        ("", {"num_cpus": 2}, {"address": "local", "num_cpus": 2}),
        ("", {"address": "auto"}, {"address": "auto"}),
        ("10.0.0.1:6379", {}, {}),
        ("10.0.0.1:6379", {"namespace": "a"}, {"namespace": "a"}),
    ],
)
def test_a_cluster_is_joined_as_it_is_or_one_is_started(monkeypatch, address, options, given) -> None:
    asked = []

    def init(**settings: Any) -> None:
        asked.append(settings)
        raise ConnectionError("nobody answers")

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(ray, "init", init)
    config = StudyConfig(engine=EngineConfig("ray", workers=3, cpus=2, options=options))
    with pytest.raises(ConfigurationError, match="no cluster to join: nobody answers"):
        run_on_ray(config, None)
    assert asked == [given]
