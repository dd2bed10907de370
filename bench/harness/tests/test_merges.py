"""The harness of `breakeven merge`, with a few small files."""

import json

import merges


def test_figures_and_bound(tmp_path, monkeypatch, capsys):
    for name, value in {"CASES": 4, "ROUNDS": 10, "REPETITIONS": 1}.items():
        monkeypatch.setattr(merges, name, value)
    merges.main(["-o", str(tmp_path), "--files", "3"])
    found = json.loads((tmp_path / "merges.json").read_text())["figures"]["the whole command"]
    assert (found["bound_s"], found["files"], found["cases"], found["n"]) == (5.0, 3, 12, 1)
    assert found["input_bytes"] > 0 < found["output_bytes"]
    assert "3 files of" in capsys.readouterr().out


def test_default_files_are_of_a_megabyte(tmp_path):
    [path] = merges.write_shards(tmp_path, 1, merges.CASES, merges.ROUNDS)
    assert 0.9e6 < path.stat().st_size < 1.2e6
