"""What tox does here beyond its settings: it keeps to uv.lock, and forgets old coverage."""

from pathlib import Path

from tox.config.sets import ConfigSet
from tox.plugin import impl
from tox.session.state import State
from tox.tox_env.register import ToxEnvRegister

HERE = Path(__file__).parent
RUN = {"legacy", "le", "run", "r", "run-parallel", "p"}


@impl(trylast=True)
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Install exactly what uv.lock says, where it is there."""
    if (HERE / "uv.lock").exists():
        register.default_env_runner = "uv-venv-lock-runner"


@impl
def tox_add_core_config(core_conf: ConfigSet, state: State) -> None:
    """Forget what an earlier run has measured: its code may be gone."""
    if state.conf.options.command in RUN:
        for data in HERE.glob(".coverage.*"):
            data.unlink(missing_ok=True)
