"""Export a kept model to answer requests: arrays, a network in ONNX, and the code that reads both."""
