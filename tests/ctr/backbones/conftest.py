"""What tests of backbones share: parameters and inputs as float64, and the perceptron in NumPy."""

import numpy as np
import pytest


class Numbers:
    """Independent computations in NumPy, for tests to take as one fixture."""

    @staticmethod
    def arrays(module):
        """Parameters by name, as float64."""
        return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}

    @staticmethod
    def dense_layers(values, weights, prefix, layers):
        """Linear layers, each followed by ReLU."""
        for place in range(layers):
            values = np.maximum(
                values @ weights[f"{prefix}.{2 * place}.weight"].T + weights[f"{prefix}.{2 * place}.bias"], 0
            )
        return values

    @staticmethod
    def start_of(states):
        """Fields and dense values, side by side."""
        rows = len(states.fields)
        return np.concatenate([states.fields.numpy().reshape(rows, -1), states.dense.numpy()], axis=1).astype(
            np.float64
        )

    @staticmethod
    def check_close(found, expected):
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


@pytest.fixture(scope="session")
def numbers():
    return Numbers()
