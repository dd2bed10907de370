"""Predicts the training steps of an accelerator that is not here, from a card of a machine that has one.

A prediction is never a measurement. It has a 90% band, which holds for models the card has not seen and for
another process of its machine; it is marked as predicted wherever it is shown, and it never enters a
comparison or a history. The CPU is never predicted: it is here, and can be measured.

Modules: `work` (what a step does), `cards` (what predicts a machine, and its file), `formula` (the step's
time and band), `fit` (a card from run files), `prediction` (a run predicted), `cells` (one cell of it),
`break_even` (its ranges of batch sizes), `costs` (hours and dollars), `rent` (what settles the rest), `text`
(the answer), `chart`.
"""
