"""Click-through-rate models: backbones, adapters for knowledge, training."""
