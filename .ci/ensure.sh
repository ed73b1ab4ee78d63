# Sourced by the parts: ensure WHAT PACKAGE... installs packages of the distribution until `found`
# says that they are there. Without them the tests that need WHAT are skipped; with CI=true that is
# a failure.
set -euo pipefail

ensure() {
    local what=$1 reason=""
    shift
    if found; then
        return 0
    fi
    if ! command -v apt-get >/dev/null; then
        reason="there is no apt-get here"
    elif [ "$(id -u)" != 0 ]; then
        reason="only root can install packages: apt-get install $*"
    else
        echo "Installing $what from the packages of this distribution ($*)"
        if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends "$@" >/dev/null; then
            found && return 0
            reason="the packages did not bring it"
        else
            reason="apt-get could not install it (see above)"
        fi
    fi
    if [ "${CI:-}" = true ]; then
        echo "Missing: $what, and CI=true: $reason" >&2
        return 1
    fi
    echo "SKIPPING the tests that need $what: $reason" >&2
}
