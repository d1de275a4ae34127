"""Read the model files of other libraries, one module a format."""
