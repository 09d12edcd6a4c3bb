"""The pipeline of a project, run for real."""
