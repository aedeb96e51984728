"""What is on disk: whole files or none, tensors and JSON without pickle, locks, and YAML as it was written."""
