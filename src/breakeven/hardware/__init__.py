"""The hardware and its abilities, as torch, NVML and the kernel report them.

`device`: what every device can do. `devices`: where a case can run, a subclass of `Device` per family.
`threads`: how many threads torch uses by default. `machine`: the facts that make a machine's class, and its
state. `cpus`: the CPUs that this process may use, and their cores. `load`: how busy other programs keep them.
`allocator`: the library behind ``malloc``. `nvml`: what NVIDIA's library reports. `float32`: torch's switches
of TF32. `cuda_capture`: CUDA graphs.
"""
