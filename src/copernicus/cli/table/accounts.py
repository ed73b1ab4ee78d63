"""Commands about users, logins and this program."""

from __future__ import annotations

from copernicus.cli.entries import ACCOUNT, Entry

_LOGINS = "copernicus.cli.logins"
_TOKENS = "copernicus.cli.tokens"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "login",
        f"{_LOGINS}:login",
        "Log in at a server.",
        (
            "cpc login client.cpc --user alice",
            "cpc login https://lab.example.org:14807",
            "cpc login client.cpc --token-file nightly.token --profile nightly",
        ),
        ACCOUNT,
    ),
    Entry("logout", f"{_LOGINS}:logout", "End the login.", ("cpc logout",), ACCOUNT),
    Entry("whoami", f"{_LOGINS}:whoami", "Who is logged in, where.", ("cpc whoami",), ACCOUNT),
    Entry(
        "demo",
        "copernicus.cli.demo:demo",
        "Run a demo with a server and a worker of its own.",
        ("cpc demo", "cpc demo --list"),
        ACCOUNT,
    ),
    Entry(
        "completion",
        "copernicus.cli.completion:completion",
        "Print the completion script of a shell.",
        ("cpc completion bash > ~/.local/share/bash-completion/completions/cpc",),
        ACCOUNT,
    ),
    Entry("user add", f"{_LOGINS}:user_add", "Make a user.", ("cpc user add alice",)),
    Entry("user list", f"{_LOGINS}:user_list", "All users.", ("cpc user list",)),
    Entry(
        "user passwd",
        f"{_LOGINS}:user_passwd",
        "Change a password; ends that user's logins.",
        ("cpc user passwd", "cpc user passwd alice"),
    ),
    Entry(
        "user admin",
        f"{_LOGINS}:user_admin",
        "Make a user an administrator (or, with --remove, one no more).",
        ("cpc user admin alice", "cpc user admin alice --remove"),
    ),
    Entry(
        "user remove", f"{_LOGINS}:user_remove", "Remove a user.", ("cpc user remove alice --yes",)
    ),
    Entry(
        "user token create",
        f"{_TOKENS}:create",
        "Make a token for a program.",
        (
            "cpc user token create nightly -o nightly.token",
            "cpc user token create up -o up.token --scope edit --project ala",
        ),
    ),
    Entry(
        "user token list",
        f"{_TOKENS}:list_all",
        "Your logins and tokens.",
        ("cpc user token list", "cpc user token list --user alice"),
    ),
    Entry(
        "user token revoke",
        f"{_TOKENS}:revoke",
        "End a login or a token, at once.",
        ("cpc user token revoke 3f9a2c11d0b7", "cpc user token revoke all --user alice"),
    ),
    Entry(
        "audit",
        "copernicus.cli.auditing:audit",
        "Who did what; and whether the log of it was changed.",
        (
            "cpc audit --actor alice --after 2027-01-31",
            "cpc audit --action worker --outcome refused",
            "cpc audit verify",
        ),
        ACCOUNT,
    ),
    Entry(
        "profile list",
        f"{_LOGINS}:profile_list",
        "Your logins on this machine.",
        ("cpc profile list",),
    ),
    Entry(
        "profile use",
        f"{_LOGINS}:profile_use",
        "Choose the current login.",
        ("cpc profile use alice@lab.example.org",),
    ),
)
