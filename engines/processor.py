"""Choose the number format in which this machine's processor computes a model quickly.

On a processor without instructions for bfloat16, a model in bfloat16 is slower by orders of magnitude, although nothing
fails: on two cores with AVX2, vLLM had not finished one row of 160 tokens after 15 minutes.
"""

from dataclasses import dataclass

QUICK_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Capabilities, as torch names them, that compute in bfloat16: of x86, then of ARM."""


@dataclass(frozen=True)
class Choice:
    """A number format, and why."""

    dtype: str
    """Its name in torch: `float32` or `bfloat16`."""
    why: str
    """A clause in words."""


def dtype_on_cpu(own: str, capabilities: frozenset[str] | None = None) -> Choice:
    """Choose the number format for a model on a CPU.

    Args:
        own: The model's own format, such as `bfloat16`; empty if unknown.
        capabilities: What the processor can do, as torch names it; None asks torch about this one.

    Example:
        >>> dtype_on_cpu("bfloat16", frozenset({"avx2"})).dtype
        'float32'
        >>> dtype_on_cpu("bfloat16", frozenset({"avx2", "avx512_bf16"})).dtype
        'bfloat16'
    """
    can = processor_capabilities() if capabilities is None else capabilities
    quick = sorted(can & set(QUICK_BFLOAT16))
    if own == "bfloat16":
        if quick:
            return Choice(own, f"the model's own, and this processor has instructions for it ({', '.join(quick)})")
        return Choice("float32", "this processor has no instructions for bfloat16 (AVX-512-BF16 or AMX)")
    if own == "float16":
        return Choice("float32", "float16 is slow on processors")
    return Choice("float32", "the model's own" if own == "float32" else "quick on every processor")


def processor_capabilities() -> frozenset[str]:
    """Return what this machine's processor can do, as torch names it."""
    import torch  # noqa: PLC0415 - takes seconds, and only a choice for this machine needs it

    return frozenset(name for name, there in torch.cpu.get_capabilities().items() if there is True)


def computes_on_cpu() -> bool:
    """Return whether a model in this process computes on the CPU: there is no GPU that torch sees."""
    import torch  # noqa: PLC0415 - see above

    return not torch.accelerator.is_available()


def why_slow(dtype: str, on_cpu: bool, capabilities: frozenset[str] | None = None) -> str:
    """Return the likely cause of a model that is far too slow, with what to do.

    Args:
        dtype: The number format in which it computes.
        on_cpu: Whether it computes on the CPU.
        capabilities: What the processor can do, as torch names it; None asks torch about this one.

    Example:
        >>> why_slow("bfloat16", True, frozenset({"avx2"})).splitlines()[1]
        '  set engine.options.dtype to float32, or leave it out'
    """
    if not on_cpu:
        return "another program uses the GPU, or memory is short: look at it with nvidia-smi"
    best = dtype_on_cpu(dtype, capabilities)
    if best.dtype != dtype:
        return f"it computes in {dtype}; {best.why}\n  set engine.options.dtype to {best.dtype}, or leave it out"
    return "the model is too large for this processor, or other programs use it: look at them with top"
