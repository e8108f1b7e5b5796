import runpy
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_world.py"


def test_the_example_runs(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert "12 frames, reward" in said
    assert "smoothness" in said
