"""Lets ``python -m`` run the command line."""

import sys

from {{ cookiecutter.package_name }}.app import main

sys.exit(main())
