"""Where models run: in the process of the command, or in actors on a Ray cluster."""

from typing import Literal

from pydantic import Field

from base.frozen import Frozen

ExecutorName = Literal["local", "ray"]


class ExecutorConfig(Frozen):
    """Where engine and encoders run: `executor:` in knowflow.yaml. It changes no key."""

    name: ExecutorName = "local"
    """`local`: in the process of the command. `ray`: in actors on a Ray cluster (pip install 'knowflow[ray]')."""
    address: str = ""
    """Address of a running cluster: `auto` for that of this machine, or such as ray://head:10001. Empty starts one on
    this machine and shuts it down afterwards."""
    actors: int = Field(default=2, ge=1)
    """Number of actors; each loads the model."""
    cpus: float = Field(default=1.0, ge=0)
    """Cores that each actor takes."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs that each actor takes; 0.5 = two actors share one."""
    rows_a_block: int = Field(default=256, ge=1)
    """Requests or texts that an actor takes at once. If an actor dies, as many are asked again."""

    @property
    def in_flight(self) -> int:
        """Return how many rows are under way at once: each actor works on one block, and a second one waits for it."""
        return 2 * self.actors * self.rows_a_block
