"""The stages of the pipeline, one package each, and the pipeline that runs them in order."""
