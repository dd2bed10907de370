"""Small sizes of every built-in recipe."""

SIZES = {
    "seed_net": {},
    "mlp": {"width": 16, "depth": 3},
    "cnn": {"channels": 4, "side": 8},
    "transformer": {"d_model": 16, "length": 5},
    "lstm": {"hidden": 8, "length": 5},
}
