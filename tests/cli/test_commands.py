"""Every command of the table loads; a misspelt command gets the nearest name."""

import pytest

from convscope.cli.main import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0 and "Usage: convscope" in capsys.readouterr().out


def test_a_wrong_command_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["trian", "digits"])
    assert stopped.value.code == 2 and "No such command 'trian'. Did you mean train?" in capsys.readouterr().err
