"""The number format for a processor: never one that it has no instructions for."""

import pytest

from engines.processor import dtype_on_cpu, processor_capabilities, why_slow

AVX2, AVX512 = frozenset({"avx2", "fma3"}), frozenset({"avx2", "avx512_f", "avx512_bf16"})
AMX, ARM = frozenset({"avx512_f", "amx_bf16"}), frozenset({"neon", "bf16"})


@pytest.mark.parametrize(
    ("own", "can", "chosen"),
    [
        ("bfloat16", AVX2, "float32"),
        ("bfloat16", frozenset({"avx512_f"}), "float32"),  # AVX-512 alone does not suffice
        ("bfloat16", AVX512, "bfloat16"),
        ("bfloat16", AMX, "bfloat16"),
        ("bfloat16", ARM, "bfloat16"),
        ("float16", AVX512, "float32"),
        ("float32", AMX, "float32"),
        ("", AMX, "float32"),
    ],
)
def test_the_models_own_format_is_taken_only_when_the_processor_computes_in_it(own, can, chosen):
    assert dtype_on_cpu(own, can).dtype == chosen


def test_this_processor_is_described_as_the_system_describes_it():
    with open("/proc/cpuinfo") as file:
        flags = next((line.split(":")[1].split() for line in file if line.startswith("flags")), None)
    if flags is None:
        pytest.skip("this system does not list the flags of an x86 processor")

    can = processor_capabilities()

    assert {name: name in can for name in ("avx2", "avx512_bf16")} == {
        name: name in flags for name in ("avx2", "avx512_bf16")
    }


def test_the_cause_of_slowness_names_what_to_change():
    assert "it computes in bfloat16" in why_slow("bfloat16", True, AVX2)
    assert "set engine.options.dtype to float32" in why_slow("bfloat16", True, AVX2)
    assert "too large for this processor" in why_slow("bfloat16", True, AMX)
    assert "nvidia-smi" in why_slow("bfloat16", False)
