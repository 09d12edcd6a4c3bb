"""Lets ``python -m`` run the program."""

import sys

from {{ cookiecutter.package_name }}.app import main

sys.exit(main())
