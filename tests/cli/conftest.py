import pytest

from gantools import cli

TINY = ["--set", "network={size: 8, channels: 3, latent: 6, width: 4}", "--batch", "8", "--device", "cpu"]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """call(*arguments) -> (exit code, stdout, stderr), in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as e:
            cli.main(arguments)
        captured = capsys.readouterr()
        return e.value.code or 0, captured.out, captured.err

    return run
