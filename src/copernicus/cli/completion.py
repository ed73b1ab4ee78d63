"""``cpc completion``: for bash, zsh and fish. The scripts ask ``cpc __complete`` at every Tab."""

from __future__ import annotations

from typing import Literal

from copernicus.cli.options import LOCAL, Local
from copernicus.cli.output import emit

_BASH = """\
# bash completion of cpc: cpc completion bash > ~/.local/share/bash-completion/completions/cpc
_cpc() {
    local line word
    COMPREPLY=()
    while IFS=$'\\t' read -r word _; do
        [[ -n $word ]] && COMPREPLY+=("$word")
    done < <(cpc __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[./] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -o nosort -F _cpc cpc
"""

_ZSH = """\
#compdef cpc
# zsh completion of cpc: cpc completion zsh > a folder of $fpath, as _cpc
_cpc() {
    local word what
    local -a spaced spaced_said open open_said
    while IFS=$'\\t' read -r word what; do
        [[ -z $word ]] && continue
        if [[ $word == *[./] ]]; then
            open+=("$word"); open_said+=("$word  $what")
        else
            spaced+=("$word"); spaced_said+=("$word  $what")
        fi
    done < <(cpc __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (( ${#spaced} )) && compadd -l -d spaced_said -a spaced
    (( ${#open} )) && compadd -S '' -l -d open_said -a open
    (( ${#spaced} + ${#open} )) || _files
}
if [[ $funcstack[1] == _cpc ]]; then _cpc "$@"; else compdef _cpc cpc; fi
"""

_FISH = """\
# fish completion of cpc: cpc completion fish > ~/.config/fish/completions/cpc.fish
function __cpc_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l offers (cpc __complete $words[2..-1] 2>/dev/null)
    if set -q offers[1]
        printf '%s\\n' $offers
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c cpc -f -a '(__cpc_complete)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def completion(shell: Literal["bash", "zsh", "fish"], /, *, options: Local = LOCAL) -> None:
    """Print a completion script.

    Args:
        shell: For which shell.
        options: Common ones.
    """
    script = _SCRIPTS[shell]
    emit(options.json, {"shell": shell, "script": script}, script.rstrip("\\n"))
