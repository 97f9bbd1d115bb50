"""Connection URLs: what they mean, what is refused, and that a refusal never shows a secret."""

from __future__ import annotations

import pickle
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from valkey_vector.connection import Address, ConnectionSettings, IamSettings, TlsSettings
from valkey_vector.connection.url import parse_url, without_password
from valkey_vector.errors import ConfigurationError

settings_of = ConnectionSettings.from_url

TEXT = st.text(
    st.one_of(
        st.sampled_from("@:/?#%+&=[],; \\\"'ä漢🎉"), st.characters(exclude_categories=["Cs"])
    ),
    min_size=1,
    max_size=20,
).filter(lambda text: "\0" not in text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("valkey://", {}),
        ("valkey://h", {"addresses": (Address("h", 6379),)}),
        ("redis://h:7000", {"addresses": (Address("h", 7000),)}),
        ("REDIS://h:7000/", {"addresses": (Address("h", 7000),)}),
        ("valkeys://h", {"addresses": (Address("h"),), "tls": TlsSettings()}),
        ("rediss://h", {"addresses": (Address("h"),), "tls": TlsSettings()}),
        ("valkey://h/3", {"addresses": (Address("h"),), "database": 3}),
        ("valkey://h?db=3", {"addresses": (Address("h"),), "database": 3}),
        ("valkey://:pw@h", {"addresses": (Address("h"),), "password": "pw"}),
        ("valkey://u@h", {"addresses": (Address("h"),), "username": "u"}),
        ("valkey://u:@h", {"addresses": (Address("h"),), "username": "u"}),
        ("valkey://u:p:q@h", {"addresses": (Address("h"),), "username": "u", "password": "p:q"}),
        ("valkey://u:p@q@h", {"addresses": (Address("h"),), "username": "u", "password": "p@q"}),
        ("valkey://u:p%2Fq+r@h", {"addresses": (Address("h"),), "username": "u", "password": "p/q+r"}),
        ("valkey://[::1]", {"addresses": (Address("::1"),)}),
        ("valkey://u:p@[::1]:7/2", {
            "addresses": (Address("::1", 7),), "username": "u", "password": "p", "database": 2,
        }),
        ("valkey://a:1,b:2", {"addresses": (Address("a", 1), Address("b", 2))}),
        ("valkey://a,[::1]:2", {"addresses": (Address("a"), Address("::1", 2))}),
        ("unix:///run/v.sock", {"unix_socket": "/run/v.sock"}),
        ("valkey+unix:///run/v%20w.sock?db=1", {"unix_socket": "/run/v w.sock", "database": 1}),
        ("redis+unix://u:p@/s", {"unix_socket": "/s", "username": "u", "password": "p"}),
        ("unix:///s?password=p%26q", {"unix_socket": "/s", "password": "p&q"}),
        ("embedded://", {"embedded": True}),
        ("embedded:///data/x", {"embedded": True, "embedded_directory": "/data/x"}),
        ("embedded://?request_timeout=5", {"embedded": True, "request_timeout": 5.0}),
    ],
)  # fmt: skip
def test_url_means(url: str, expected: dict[str, Any]) -> None:
    assert settings_of(url) == ConnectionSettings(**expected)


def test_every_scalar_setting_can_stand_in_the_url() -> None:
    url = (
        "valkeys://u@h:1?cluster=true&read_from=az_affinity&client_az=eu-1a&client_name=me"
        "&request_timeout=1.5&connection_timeout=2&write_connections=7&retries=0&retry_delay=0.5"
        "&max_in_flight=9&tls_ca=/ca%2Bx.pem&tls_certificate=/c.pem&tls_key=/k.pem&tls_insecure=false"
        "&iam_cluster_name=c&iam_region=r&iam_service=memorydb&iam_refresh_interval=60"
    )
    assert settings_of(url) == ConnectionSettings(
        addresses=(Address("h", 1),),
        username="u",
        cluster=True,
        read_from="az_affinity",
        client_az="eu-1a",
        client_name="me",
        request_timeout=1.5,
        connection_timeout=2.0,
        write_connections=7,
        retries=0,
        retry_delay=0.5,
        max_in_flight=9,
        tls=TlsSettings(ca="/ca+x.pem", certificate="/c.pem", key="/k.pem"),
        iam=IamSettings(cluster_name="c", region="r", service="memorydb", refresh_interval=60),
    )


def test_keyword_arguments_win_over_the_url() -> None:
    settings = settings_of("valkey://u:p@h/1", database=2, password="q")
    assert (settings.database, settings.password, settings.username) == (2, "q", "u")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("", "begin with"),
        ("localhost:6379", "begin with"),
        ("http://h", "begin with"),
        ("valkey:h", "begin with"),
        ("valkey://h/x", "database"),
        ("valkey://h/-1", "database"),
        ("valkey://h/1.5", "database"),
        ("valkey://h/1/2", "database"),
        ("valkey://h/٣", "database"),
        ("valkey://h/99999999999", "database"),
        ("valkey://h/1?db=1", "database"),
        ("valkey://h?db=-1", "'db'"),
        ("valkey://h:0", "port"),
        ("valkey://h:65536", "port"),
        ("valkey://h:", "port"),
        ("valkey://h:12x", "port"),
        ("valkey://a b", "host"),
        ("valkey://::1", "brackets"),
        ("valkey://[::1", "IPv6"),
        ("valkey://[::g]", "IPv6"),
        ("valkey://[::1]x", "IPv6"),
        ("valkey://h?colour=red", "'colour'"),
        ("valkey://h?cluster=maybe", "'cluster'"),
        ("valkey://h?cluster=", "'cluster'"),
        ("valkey://h?client_name=", "'client_name'"),
        ("valkey://h?read_from=nowhere", "read_from"),
        ("valkey://h?read_from=az_affinity", "client_az"),
        ("valkey://h?request_timeout=soon", "'request_timeout'"),
        ("valkey://h?request_timeout=nan", "request_timeout"),
        ("valkey://h?request_timeout=inf", "request_timeout"),
        ("valkey://h?request_timeout=0", "request_timeout"),
        ("valkey://h?connection_timeout=-1", "connection_timeout"),
        ("valkey://h?write_connections=0", "write_connections"),
        ("valkey://h?max_in_flight=1000", "max_in_flight"),
        ("valkey://h?retries=two", "'retries'"),
        ("valkey://h?retries=1&retries=2", "twice"),
        ("valkey://h?retries", "name=value"),
        ("valkey://h?Retries=1", "name=value"),
        ("valkey://h?tls_ca=/x", "tls"),
        ("valkeys://h?tls_insecure=1", "'tls_insecure'"),
        ("valkeys://h?tls_certificate=/x", "together"),
        ("valkeys://u@h?iam_region=r", "iam_cluster_name"),
        ("valkeys://h?iam_region=r&iam_cluster_name=c", "username"),
        ("valkeys://u:p@h?iam_region=r&iam_cluster_name=c", "not both"),
        ("valkey://u@h?iam_region=r&iam_cluster_name=c", "TLS"),
        ("valkeys://u@h?iam_region=r&iam_cluster_name=c&iam_service=s3", "iam service"),
        ("valkey://h#fragment", "%23"),
        ("valkey://u:50%off@h", "%25"),
        ("valkey://u:%ff@h", "UTF-8"),
        ("valkey://u:%00@h", "zero byte"),
        ("unix://", "unix socket"),
        ("unix:///", "unix socket"),
        ("unix://relative/s", "absolute"),
        ("unix:///s?cluster=true", "cluster"),
        ("embedded://dir", "absolute"),
        ("embedded:///", "directory"),
        ("embedded://u:p@/d", "user name"),
        ("embedded://?cluster=true", "cluster"),
    ],
)
def test_a_wrong_url_is_refused_and_the_part_named(url: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        settings_of(url)


@pytest.mark.parametrize("override", [{"pasword": "x"}, {"port": 3}])
def test_an_unknown_keyword_is_refused_by_name(override: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(override))):
        settings_of("valkey://h", **override)


@pytest.mark.parametrize(
    "template",
    [
        "valkey://u:{}@h:bad",
        "valkey://u:{}@h/bad",
        "valkey://u:{}@h?bad=1",
        "valkey://u:{}@h?retries=bad",
        "valkey://u:{}@h?bad",
        "valkey://u:{}@h#x",
        "valkey://u:{}@h/-1",
        "valkey://u:{}@::1",
        "valkey://u:{}%zz@h",
        "valkey://u:a/{}@h",
        "valkey://u:a?{}@h/0",
        "valkey://u:a?{}=b@h/0",
        "valkey://u:a#{}@h",
        "valkey://u:{}",
        "valkey://u:{}:6379",
        "//u:{}@h",
        "valkeys://:{}@h?iam_region=r&iam_cluster_name=c",
        "embedded://u:{}@/d",
        "unix://u:{}@h/s",
        "unix:///s?password={}&cluster=true",
    ],
)
def test_an_error_about_a_url_never_shows_its_password(template: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings_of(template.format("hunter2secret"))
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2secret" not in str(chain)
        chain = chain.__cause__ or chain.__context__


@given(username=TEXT, password=TEXT, database=st.integers(0, 10**8), port=st.integers(1, 65535))
def test_any_user_and_password_survive_a_percent_encoded_url(
    username: str, password: str, database: int, port: int
) -> None:
    user, secret = quote(username, safe=""), quote(password, safe="")
    settings = settings_of(f"valkey://{user}:{secret}@[::1]:{port}/{database}")
    assert settings == ConnectionSettings(
        addresses=(Address("::1", port),), username=username, password=password, database=database
    )
    assert settings_of(f"valkey://:{secret}@h").password == password
    assert settings_of(f"unix:///s?username={user}&password={secret}").username == username
    assert settings_of(f"unix:///{user}").unix_socket == f"/{username}"


@given(st.text(max_size=60), st.sampled_from(["valkey://", "valkeys://u:p@", "unix://", ""]))
def test_any_text_is_either_a_url_or_a_configuration_error(text: str, start: str) -> None:
    try:
        settings = settings_of(start + text)
    except ConfigurationError:
        return
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301 (made a line above)


def test_a_url_must_be_a_string() -> None:
    with pytest.raises(ConfigurationError, match="bytes"):
        settings_of(b"valkey://h")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "shareable"),
    [
        ("valkey://host", "valkey://host"),
        ("valkey://:secret@host:1/2", "valkey://host:1/2"),
        (
            "valkeys://us%40er:secret@a:1,b:2?tls_insecure=true",
            "valkeys://us%40er@a:1,b:2?tls_insecure=true",
        ),
        ("valkey://user:secret@[::1]", "valkey://user@[::1]"),
        ("valkey://host?password=secret&db=1", "valkey://host?db=1"),
        ("valkey://host?password=secret", "valkey://host"),
        ("unix://user:secret@/pa@th?db=1", "unix://user@/pa@th?db=1"),
        ("embedded:///dir", "embedded:///dir"),
        ("embedded://", "embedded://"),
    ],
)
def test_a_url_can_be_shared_without_its_password(url: str, shareable: str) -> None:
    assert without_password(url) == shareable
    found, original = parse_url(shareable), parse_url(url)
    assert (found.hosts, found.path, found.username) == (
        original.hosts, original.path, original.username,
    )  # fmt: skip
    assert found.password is None
