"""Tests of modules without a server: the real engine, programs that really run, no network.

```python
from copernicus import testing
from mysim import module, until

def test_until(tmp_path):
    with testing.project(module, programs={"mysim": ["/opt/mysim/bin/mysim"]}) as p:
        p.add("sampling", until, start=Path("start.xyz"), error=0.1)
        p.run()
        assert p.value("sampling.out.error") <= 0.1
```

A project here has the methods of ``copernicus.client.Project`` that build and steer. Programs run
in folders of their own by the worker's own code, tasks are called in this process. Whatever a
workflow function did is done again: from its recorded answers, with the answers of its branches
in other orders, and in another process under another hash seed. If it then does something else,
``Departed`` says at which line.

``replay`` plays the engine for one workflow function: the test itself answers what calls give.
"""

from copernicus.testing.courses import Departed
from copernicus.testing.project import Failed, Project, project
from copernicus.testing.replaying import NotYet, Replayed, replay

__all__ = ["Departed", "Failed", "NotYet", "Project", "Replayed", "project", "replay"]
