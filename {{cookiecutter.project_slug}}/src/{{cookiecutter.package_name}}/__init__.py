"""The package {{ cookiecutter.package_name }}."""
