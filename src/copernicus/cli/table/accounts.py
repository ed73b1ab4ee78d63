"""Commands about users, logins and this program."""

from __future__ import annotations

from copernicus.cli.entries import ACCOUNT, Entry

_LOGINS = "copernicus.cli.logins"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "login",
        f"{_LOGINS}:login",
        "Log in at a server.",
        ("cpc login client.cpc --user alice", "cpc login https://lab.example.org:14807"),
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
        "user remove", f"{_LOGINS}:user_remove", "Remove a user.", ("cpc user remove alice --yes",)
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
