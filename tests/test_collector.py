"""The garbage collector is off inside the block, and restored afterwards."""

import gc

from breakeven.collector import collection_off


def test_collects_first(monkeypatch):
    collected = []
    monkeypatch.setattr(gc, "collect", lambda *_: collected.append(gc.isenabled()))
    with collection_off(collect_first=True):
        assert collected == [True]
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collector_stays_off():
    gc.disable()
    try:
        with collection_off():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_collects_only_where_asked(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda *_: 1 / 0)
    with collection_off():
        assert not gc.isenabled()
    assert gc.isenabled()
