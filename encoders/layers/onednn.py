"""Linear layers by oneDNN, for an encoder on the CPU, and what it takes to compute in 16 bits.

PyTorch multiplies float32 matrices with MKL, which uses AVX-512 on Intel's processors only; oneDNN asks the processor.
The vectors are the same to 1e-6; docs/benchmarks.md has what it saves.
"""

import torch
from torch import Tensor, nn

from base.faults import WrongUse


class Linear(nn.Module):
    """A linear layer that oneDNN computes.

    Args:
        layer: The layer with the weights; float32, on the CPU.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight.detach().to_mkldnn()  # under its usual name: models ask for its dtype
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, states: Tensor) -> Tensor:
        """Map states: [..., in] -> [..., out]."""
        return torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, "none", [], "")


def use_onednn(model: nn.Module) -> None:
    """Replace the linear layers of a model for inference; one on a GPU or in 16 bits stays as it is.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> use_onednn(model)
        >>> type(model[0]) is Linear
        True
    """
    if not torch.backends.mkldnn.is_available():  # PyTorch built without it
        return
    for name, part in model.named_children():
        if type(part) is not nn.Linear:
            use_onednn(part)
        elif part.weight.dtype == torch.float32 and part.weight.device.type == "cpu":
            setattr(model, name, Linear(part))


def multiplies_bfloat16(device: str) -> bool:
    """Return whether a device, `cpu` or `cuda`, has instructions for products of bfloat16; others take far longer."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def check_bfloat16(device: str) -> None:
    """Check that a device multiplies bfloat16.

    Raises:
        WrongUse: It does not.
    """
    if not multiplies_bfloat16(device):
        raise WrongUse(f"the {device} of this machine does not multiply bfloat16\n  set precision: float32")
