{% include "kinds/" ~ cookiecutter.kind ~ "/app.py" ignore missing %}
