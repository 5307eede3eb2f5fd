"""Parts of networks that encoders compute with; apart, because looking for encoders must not import PyTorch."""
