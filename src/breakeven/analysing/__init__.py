"""The analysing wing: run files -> frames -> intervals, speedup and break-even. Knows pandas, never torch."""
