"""The measuring wing: places a workload on a device and times its phases. Knows torch, never pandas."""
