"""GitLab's own runner: how it is built, and how it runs the pipeline of a project."""
