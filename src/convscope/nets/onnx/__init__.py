"""ONNX files as torch modules: read, checked, and each node run by torch operators; nothing in a file is executed."""
