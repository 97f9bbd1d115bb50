"""A GLIDE that is missing, unknown or half overwritten is named, with what cures it."""

from __future__ import annotations

import pytest

from valkey_vector.connection.glide_version import _check_versions, check_glide
from valkey_vector.errors import ConfigurationError


def test_the_installed_glide_is_accepted() -> None:
    check_glide()


@pytest.mark.parametrize("version", ["2.6", "2.6.0", "2.6.1", "2.10.0", "2.99.9", "2.7.0rc1"])
@pytest.mark.parametrize("both", [False, True])
def test_versions_known_to_work_are_accepted(version: str, both: bool) -> None:
    _check_versions(version, version if both else None)


@pytest.mark.parametrize("version", ["1.9.9", "2.5.3", "3.0.0", "3.0.0rc1", "unknown"])
def test_other_versions_are_refused_with_the_command_that_cures_it(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"pip install 'valkey-glide-sync>=2\.6,<3'") as it:
        _check_versions(version, None)
    assert version in str(it.value)


def test_a_missing_client_is_refused_with_the_command_that_cures_it() -> None:
    with pytest.raises(ConfigurationError, match="pip install 'valkey-glide-sync"):
        _check_versions(None, "2.6.0")


def test_two_clients_of_different_versions_are_both_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        _check_versions("2.6.0", "2.5.3")
    for part in ("valkey-glide 2.5.3", "valkey-glide-sync 2.6.0", "--force-reinstall"):
        assert part in str(caught.value)
    assert "valkey-glide==2.6.0 valkey-glide-sync==2.6.0" in str(caught.value)
