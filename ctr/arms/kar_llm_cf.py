"""Two techniques combined: KAR's hybrid experts and LLM-CF's decoder."""

from llm_tasks.cot_examples import LLM_CF
from llm_tasks.kar_user import KAR
from llm_tasks.pipeline.arm import Arm

BOTH = Arm(f"{KAR.name}+{LLM_CF.name}", "KAR's hybrid experts and llm-cf's decoder together.", KAR.uses + LLM_CF.uses)
