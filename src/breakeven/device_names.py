"""Names of devices: their order, which are CPUs, and the default baseline; strings only."""
