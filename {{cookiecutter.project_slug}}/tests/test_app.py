{% include "kinds/" ~ cookiecutter.kind ~ "/test_" ~ cookiecutter.test_runner ~ ".py" ignore missing %}
