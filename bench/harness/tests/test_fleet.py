"""The harness of the fleet, with a small fleet and no cluster."""

import json

import fleet


def test_a_simulated_fleet(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet, "CASES", 4)
    fleet.main(["-o", str(tmp_path), "--nodes", "30", "--no-ray"])
    (figure,) = json.loads((tmp_path / "fleet.json").read_text())["figures"].values()
    assert (figure["nodes"], figure["cases"], figure["bound_s"]) == (30, 4, 60.0)
    stages = ("plan_s", "schedule and collect_s", "resume_s", "read_s", "merge_s")
    assert figure["seconds"] == sum(figure[stage] for stage in stages)
