from importlib import metadata

from longdwm_env.cli import doctor as module
from longdwm_env.cli.doctor import doctor


def test_a_sound_installation_is_said_to_be_sound(capsys):
    assert doctor() == 0
    shown = capsys.readouterr().out
    assert metadata.version("gymnasium") in shown
    assert "libx264" in shown


def test_packages_that_overwrite_each_other_are_a_problem(monkeypatch, capsys):
    real = module._installed
    monkeypatch.setattr(module, "_installed", lambda name: "4.0" if name == "opencv-python" else real(name))
    assert doctor() == 1
    assert "pip uninstall -y opencv-python" in capsys.readouterr().err


def test_a_missing_core_package_is_a_problem(monkeypatch, capsys):
    real = module._installed
    monkeypatch.setattr(module, "_installed", lambda name: None if name == "av" else real(name))
    assert doctor() == 1
    assert "pip install av" in capsys.readouterr().err
