"""Checks the shapes that ``longdwm_env.geometry`` declares, in every test. The hook comes before its first import."""

import jaxtyping
from hypothesis import settings

jaxtyping.install_import_hook("longdwm_env.geometry", "beartype.beartype")

# The same examples on every run and no clock: a test fails because of the code, not because of the machine.
settings.register_profile("laws", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("laws")
