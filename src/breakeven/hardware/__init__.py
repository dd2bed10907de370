"""What hardware is there and what it can do, as torch, NVML and the kernel report it.

`devices`: where a case can run, a subclass of `Device` per family. `machine`: the facts that make a machine's
class, and its state. `nvml`: what NVIDIA's library reports. `float32`: torch's switches of TF32.
`cuda_capture`: CUDA graphs.
"""
