"""The glossary has the words that the outputs use, each in one sentence."""

import re

from breakeven.render.glossary import GLOSSARY


def test_words():
    assert list(GLOSSARY) == ["model", "axes", "cell", "case", "machine class", "canary", "flag"]
    for definition in GLOSSARY.values():
        assert re.fullmatch(r"[A-Z][^.]*\.", definition)
