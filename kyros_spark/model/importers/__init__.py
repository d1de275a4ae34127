"""Read the model files of other libraries, one module per format."""
