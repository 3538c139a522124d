"""One file a family: fit on a Series, answer with an ONNX graph."""
