"""The AWS endpoint starts as it is set, comes again at its address, and tells what is wrong with its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.aws.process import AwsServer
from sandbox.aws.settings import from_environment
from sandbox.processes import ProcessError

pytestmark = pytest.mark.slow


def test_it_comes_again_at_its_address_and_as_it_was_set(tmp_path: Path) -> None:
    with AwsServer(log=tmp_path / "aws.log", settings={"launch": 5.0}) as server:
        address = server.url
        server.change(launch=1.0)
        server.reset()
        assert server.change()["launch"] == 5.0
        server.stop()
        assert not server.is_running
        server.start()
        assert (server.url, server.change()["launch"]) == (address, 5.0)
    assert not server.is_running


def test_a_wrong_environment_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="there is no setting speed"):
        AwsServer(log=tmp_path / "aws.log", settings={"speed": 1.0}).start()


def test_what_a_program_needs_has_no_way_to_real_credentials(tmp_path: Path) -> None:
    environment = AwsServer(log=tmp_path / "aws.log").environment()
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert {environment["AWS_CONFIG_FILE"], environment["AWS_SHARED_CREDENTIALS_FILE"]} == {"/dev/null"}


def test_only_its_own_variables_are_settings() -> None:
    environment = {"SANDBOX_AWS_LAUNCH": "2", "SANDBOX": "x", "AWS_REGION": "y"}
    assert from_environment(environment) == {"launch": "2"}
