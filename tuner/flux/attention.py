"""The kernels that can compute attention: the names of settings, and what diffusers calls them."""

from __future__ import annotations

BACKENDS: dict[str, str] = {
    "diffusers": "native",
    "native-math": "_native_math",
    "native-efficient": "_native_efficient",
    "native-flash": "_native_flash",
    "cudnn": "_native_cudnn",
}
"""PyTorch's own; with "native" it chooses among them by itself."""

_NO_BACKWARD = "SageAttention has no backward pass: training with it would learn nothing"
_FLASH = "its library is not part of this installation, and PyTorch holds the same kernel"
REFUSED: dict[str, str] = {
    "sageattention": _NO_BACKWARD,
    "sageattention-int8-fp16-triton": _NO_BACKWARD,
    "sageattention-int8-fp16-cuda": _NO_BACKWARD,
    "sageattention-int8-fp8-cuda": _NO_BACKWARD,
    "flash-attn": _FLASH,
    "flash-attn-varlen": _FLASH,
    "flash-attn-hub": "its kernel would be fetched from the internet at the start of each run",
    "flash-attn-3": _FLASH,
    "xformers": _FLASH,
    "flex": "it is slow unless it is compiled, which is not done here",
    "sla": "it is made for video models",
    "native-npu": "runs are computed on NVIDIA cards or on the CPU",
    "native-xla": "runs are computed on NVIDIA cards or on the CPU",
}
"""Names that SimpleTuner users have in their files, and why each does not work here."""
